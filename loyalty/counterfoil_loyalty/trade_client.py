"""Two customers who trade points: each signs the same trade, either sends it.

    of_maker = sign_as_maker(client, trade, my_signer)
    fill_trade(client, trade, of_maker, of_taker)

Nothing happens until both have signed, and then all of it.
"""

from counterfoil_credentials.encoding import JsonObject, text_at

from counterfoil_loyalty.accounts import Signer
from counterfoil_loyalty.client import PointsClient
from counterfoil_loyalty.trades import Trade


def sign_as_maker(client: PointsClient, trade: Trade, signer: Signer) -> bytes:
    """Give the signature of the one who gives `trade.given`."""
    return signer.sign(trade.authorization_of_maker(client.venue()))


def sign_as_taker(client: PointsClient, trade: Trade, signer: Signer) -> bytes:
    """Give the signature of the one who gives `trade.taken`."""
    return signer.sign(trade.authorization_of_taker(client.venue()))


def fill_trade(client: PointsClient, trade: Trade, of_maker: bytes, of_taker: bytes) -> str:
    """Make the trade, once per `trade_id`; give the transaction."""
    names = {programme.token: programme.brand for programme in client.programmes()}
    body: JsonObject = {
        "maker": trade.maker,
        "maker_receives": trade.maker_receives,
        "given": names[trade.given],
        "amount_given": trade.amount_given,
        "taker": trade.taker,
        "taker_receives": trade.taker_receives,
        "taken": names[trade.taken],
        "amount_taken": trade.amount_taken,
        "deadline": trade.deadline,
        "id": trade.trade_id.hex(),
        "signature_maker": of_maker.hex(),
        "signature_taker": of_taker.hex(),
    }
    return text_at(client.send("/trades", body, key=trade.trade_id), "transaction", "trade")
