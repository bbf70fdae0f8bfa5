"""One file per revision, each as it was released."""
