"""Checks notifications as a receiver does: bodies on standard input, one a line; how many each address signed on standard output."""

import collections
import json
import sys

from eth_account.messages import encode_defunct
from web3 import Web3

accounts = Web3().eth.account


def signer(body):
    message = "".join(json.dumps(body[member]) for member in ("secret", "DID", "jobId", "algoDID"))
    return accounts.recover_message(encode_defunct(text=message), signature=body["signature"])


print(json.dumps(collections.Counter(signer(json.loads(line)) for line in sys.stdin)))
