"""A login for development: pick one of the sample customers, no password.

It exists on a developer's own machine only: for a public URL that is not loopback it
cannot be made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode, urlsplit

from counterfoil_credentials.errors import Misuse

from counterfoil_issuer.login import LoginAttempt, Subject, login_failed, subject_named
from counterfoil_issuer.spec import STATE

CUSTOMER: Final = "customer"
PAGE: Final = "/login/sample"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class SampleCustomer:
    """Somebody to log in as."""

    customer_id: str
    name: str
    email: str


SAMPLE_CUSTOMERS: Final = (
    SampleCustomer("sample-lin", "Lin Yue", "lin@example.com"),
    SampleCustomer("sample-ada", "Ada Berg", "ada@example.com"),
    SampleCustomer("sample-noor", "Noor Haddad", "noor@example.com"),
)


class DevLogin:
    """`Login` by choosing from a list."""

    def __init__(
        self, public_url: str, customers: Sequence[SampleCustomer] = SAMPLE_CUSTOMERS
    ) -> None:
        """Serve `customers` under `public_url`; `Misuse` unless that is loopback."""
        if urlsplit(public_url).hostname not in LOOPBACK:
            text = "expected a public URL on loopback for the login without passwords"
            raise Misuse(text)
        self._url = public_url
        self.customers = tuple(customers)

    def begin(self, attempt: LoginAttempt, *, now: datetime) -> str:
        """Give the URL of the page that lists the customers."""
        return f"{self._url}{PAGE}?{urlencode({STATE: attempt.state})}"

    def finish(self, attempt: LoginAttempt, query: Mapping[str, str], *, now: datetime) -> Subject:
        """Give the customer who was chosen. See `Login.finish`."""
        for each in self.customers:
            if each.customer_id == query.get(CUSTOMER):
                return subject_named(each.customer_id, verified_email=each.email, label=each.name)
        raise login_failed("one of the sample customers", "another", CUSTOMER)
