// The camera and a picture are read here, in the browser: what leaves this page is the text that
// was found, and it goes to the wallet on this machine alone.
"use strict";

(() => {
  const part = (id) => document.getElementById(id);
  const [scanner, finder, form] = ["scanner", "finder", "scanned"].map(part);
  const FORMATS = ["QRCode", "DataMatrix", "EAN13", "EAN8", "UPCA"];
  const EVERY_MS = 150;
  let camera = null;

  // Else it would ask a server of strangers for its program.
  ZXingWASM.prepareZXingModule({ overrides: { locateFile: () => scanner.dataset.wasm } });
  scanner.hidden = false;

  function say(what) {
    scanner.querySelectorAll("[data-said]").forEach((each) => {
      each.hidden = each.dataset.said !== what;
    });
  }

  function show(isLooking) {
    for (const id of ["finder", "stop", "looking"]) part(id).hidden = !isLooking;
    part("camera").hidden = isLooking;
  }

  function stop() {
    camera?.getTracks().forEach((track) => track.stop());
    camera = finder.srcObject = null;
    show(false);
  }

  async function textIn(picture) {
    const options = { formats: FORMATS, maxNumberOfSymbols: 1 };
    const [found] = await ZXingWASM.readBarcodes(picture, options);
    return found?.text ?? "";
  }

  function take(text, source) {
    stop();
    form.elements.text.value = text;
    form.elements.source.value = source;
    form.requestSubmit();
  }

  async function look() {
    const canvas = document.createElement("canvas");
    const drawing = canvas.getContext("2d", { willReadFrequently: true });
    while (camera) {
      if (finder.videoWidth) {
        canvas.width = finder.videoWidth;
        canvas.height = finder.videoHeight;
        drawing.drawImage(finder, 0, 0);
        const text = await textIn(drawing.getImageData(0, 0, canvas.width, canvas.height));
        if (text && camera) return take(text, "camera");
      }
      await new Promise((done) => setTimeout(done, EVERY_MS));
    }
  }

  part("camera").addEventListener("click", async () => {
    say("");
    try {
      const video = { facingMode: "environment", width: { ideal: 1280 } };
      camera = await navigator.mediaDevices.getUserMedia({ video });
    } catch (error) {
      say(error.name === "NotFoundError" ? "missing" : "refused");
      form.elements.text.focus();
      return;
    }
    finder.srcObject = camera;
    show(true);
    part("stop").focus();
    await finder.play();
    await look();
  });
  part("stop").addEventListener("click", () => {
    stop();
    part("camera").focus();
  });
  part("picture").addEventListener("change", async (event) => {
    const [picture] = event.target.files;
    if (!picture) return;
    say("");
    let text = "";
    try {
      text = await textIn(picture);
    } catch {
      // No picture at all.
    }
    if (text) return take(text, "picture");
    say("unread");
    event.target.value = "";
  });
  form.addEventListener("input", () => {
    form.elements.source.value = "paste";
  });
  addEventListener("pagehide", stop);
})();
