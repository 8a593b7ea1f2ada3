"""Signs the manifest on standard input, as somebody else's program would, with the key that is the argument."""

import json
import sys

from eth_account.messages import encode_defunct
from web3 import Web3

account = Web3().eth.account.from_key(sys.argv[1])
manifest = json.load(sys.stdin)
manifest.pop("signature", None)
manifest["signer"] = account.address
text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
manifest["signature"] = "0x" + account.sign_message(encode_defunct(text=text)).signature.hex().removeprefix("0x")
json.dump(manifest, sys.stdout)
