"""Signs as wallets do, and recovers who signed: one JSON line of cases on standard output, then one of signatures on input."""

import json
import random
import sys

from eth_account import Account
from eth_account.messages import encode_defunct
from web3 import Web3

CASES = 1000
ALPHABET = "abcXYZ019 \n\0\"\\{}:,-é€漢😀\u0301"


def signed(key, message):
    return "0x" + bytes(Account.sign_message(message, key).signature).hex()


def main():
    chance = random.Random(20240229)
    web3 = Web3()
    cases, messages = [], []
    for number in range(CASES):
        key = chance.randbytes(32) if number >= 4 else (number % 2 * 2**248 + number + 1).to_bytes(32, "big")
        text = "".join(chance.choices(ALPHABET, k=chance.choice([0, 1, 9, 10, 31, 32, 99, 100, 1000])))
        if number % 3 == 0:
            text = f"did:op:{chance.randbytes(32).hex()}{chance.randrange(2**41)}"
        message = encode_defunct(text.encode())
        # As providers do, who go by web3.
        of_hash = encode_defunct(Web3.solidity_keccak(["bytes"], [text.encode()]))
        messages.append((Account.from_key(key).address, message, of_hash))
        cases.append({
            "key": key.hex(),
            "text": text,
            "address": messages[-1][0],
            "signature": signed(key, message),
            "ofHash": signed(key, of_hash),
        })
    print(json.dumps(cases), flush=True)
    wrong = 0
    for number, ((address, *both), ours) in enumerate(zip(messages, json.loads(sys.stdin.readline()), strict=True)):
        # One of the two, in turn: recovering is slow in Python.
        which, recover = [(0, Account.recover_message), (1, web3.eth.account.recover_message)][number % 2]
        wrong += recover(both[which], signature=ours[which]) != address
    print(json.dumps({"recovered": CASES - wrong, "wrong": wrong}), flush=True)


main()
