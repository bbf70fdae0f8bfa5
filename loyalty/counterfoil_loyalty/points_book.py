"""What a customer's wallet remembers of her points: brands, copies, notes and contacts.

    book = PointsBook(keeper)
    book.brands(), book.copy(brand), book.notes(), book.contacts()

Nobody is asked here. What came with another wallet's export belongs to accounts that are not
hers, and is passed over.
"""

import threading

from counterfoil_credentials.encoding import JsonObject, text_at
from counterfoil_credentials.errors import Malformed, Reason, Refused

from counterfoil_loyalty.accounts import Account, PointsAccounts
from counterfoil_loyalty.keeping import Keeper, keep_json, kept_json
from counterfoil_loyalty.purse_copy import BrandCopy, copy_from

MOST_BRANDS = 200
MOST_CONTACTS = 1_000
MOST_NOTES = 5_000
_LONGEST_NOTE, _LONGEST_NAME = 200, 100
_BRANDS, _NOTES, _CONTACTS = "points brands", "points notes", "points contacts"


class PointsBook:
    """The book of one customer. Safe for several threads."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self._lock = threading.Lock()

    @property
    def accounts(self) -> PointsAccounts:
        """Give the keys that spend her points: one for each brand, all from the wallet's secret."""
        return PointsAccounts(self.keeper.secret("points"))

    def account(self, brand: str) -> Account:
        """Give her account with a brand."""
        return self.accounts.of(brand).account

    def brands(self) -> list[str]:
        """Give the brands that she joined, by name."""
        joined, accounts = kept_json(self.keeper, _BRANDS), self.accounts
        return sorted(it for it in joined if joined[it] == accounts.of(it).account)

    def join(self, blank: BrandCopy) -> None:
        """Begin to keep points of a brand; `Refused` with `too-many-brands`."""
        with self._lock:
            joined = kept_json(self.keeper, _BRANDS)
            if blank.brand not in joined and len(joined) >= MOST_BRANDS:
                raise _too_many("brands", MOST_BRANDS)
            self.put(blank)
            keep_json(self.keeper, _BRANDS, {**joined, blank.brand: blank.account})

    def leave(self, brand: str) -> None:
        """Forget what was seen of a brand, and that she joined it."""
        with self._lock:
            joined = kept_json(self.keeper, _BRANDS)
            joined.pop(brand, None)
            keep_json(self.keeper, _BRANDS, joined)
            keep_json(self.keeper, _copy_name(brand), {})

    def copies(self) -> dict[str, BrandCopy]:
        """Give what was last seen of each brand."""
        return {brand: self.copy(brand) for brand in self.brands()}

    def copy(self, brand: str) -> BrandCopy:
        """Give what was last seen of a brand: nothing, where the copy was lost or is another's."""
        account = self.account(brand)
        blank = BrandCopy(brand=brand, name=brand, symbol="", price=0, ledger="", account=account)
        try:
            copy = copy_from(kept_json(self.keeper, _copy_name(brand)))
        except Malformed:
            # Whatever became of it: the service has it all, and the next look begins anew.
            return blank
        return copy if (copy.brand, copy.account) == (brand, account) else blank

    def put(self, copy: BrandCopy) -> None:
        """Keep what was seen of a brand."""
        keep_json(self.keeper, _copy_name(copy.brand), copy.to_json())

    def notes(self) -> dict[str, str]:
        """Give what she noted, by the reference that it is about."""
        return _texts(kept_json(self.keeper, _NOTES), _NOTES)

    def note(self, reference: str, text: str) -> None:
        """Note something about a reference; the newest `MOST_NOTES` are kept."""
        with self._lock:
            notes = {**self.notes(), reference: text[:_LONGEST_NOTE]}
            newest: JsonObject = dict([*notes.items()][-MOST_NOTES:])
            keep_json(self.keeper, _NOTES, newest)

    def contacts(self) -> dict[str, str]:
        """Give the names of her contact book, by account."""
        return _texts(kept_json(self.keeper, _CONTACTS), _CONTACTS)

    def remember(self, account: Account, name: str) -> None:
        """Put somebody into the contact book; `Refused` with `too-many-contacts`."""
        with self._lock:
            contacts: JsonObject = {**self.contacts(), account: name[:_LONGEST_NAME]}
            if len(contacts) > MOST_CONTACTS:
                raise _too_many("contacts", MOST_CONTACTS)
            keep_json(self.keeper, _CONTACTS, contacts)


def _copy_name(brand: str) -> str:
    return f"points of {brand}"


def _texts(obj: JsonObject, where: str) -> dict[str, str]:
    return {name: text_at(obj, name, where) for name in obj}


def _too_many(what: str, most: int) -> Refused:
    return Refused(Reason(f"too-many-{what}", f"at most {most} {what}", "more", "points"))
