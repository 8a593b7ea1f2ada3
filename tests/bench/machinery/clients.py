"""Uploads a folder by Python's own clients. Run by the Python of tests/servers/build, as a program:

    clients.py s3-boto3-threads|s3-boto3-crt|s3-old|s3-count|ipfs-old SERVER CONCURRENCY FOLDER
"""

import http.client
import json
import os
import pathlib
import sys
import urllib.parse

KIND, SAID, CONCURRENCY, FOLDER = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4])

if "accessKey" in SAID:
    os.environ.update(AWS_ACCESS_KEY_ID=SAID["accessKey"], AWS_SECRET_ACCESS_KEY=SAID["secretKey"],
                      AWS_DEFAULT_REGION=SAID["region"])


def main():
    files = [path for path in sorted(FOLDER.rglob("*")) if path.is_file()] if KIND != "s3-count" else []
    {"s3-boto3-threads": threads, "s3-boto3-crt": crt, "s3-old": one_at_a_time, "s3-count": count,
     "ipfs-old": one_add_a_file}[KIND](files)


def s3():
    import boto3
    from botocore.config import Config
    return boto3.client("s3", endpoint_url=SAID["endpoint"],
                        config=Config(s3={"addressing_style": "path"}, max_pool_connections=CONCURRENCY))


def key(path):
    return f"bench/{path.relative_to(FOLDER)}"


def threads(files):
    from boto3.s3.transfer import TransferConfig, create_transfer_manager
    config = TransferConfig(max_concurrency=CONCURRENCY, multipart_chunksize=8 << 20, preferred_transfer_client="classic")
    with create_transfer_manager(s3(), config) as manager:
        futures = [manager.upload(str(path), SAID["bucket"], key(path)) for path in files]
        for future in futures:
            future.result()


def crt(files):
    import botocore.session
    from s3transfer.crt import BotocoreCRTCredentialsWrapper, BotocoreCRTRequestSerializer, CRTTransferManager, \
        create_s3_crt_client
    session = botocore.session.get_session()
    endpoint = SAID["endpoint"]
    credentials = BotocoreCRTCredentialsWrapper(session.get_credentials())
    client = create_s3_crt_client(SAID["region"], crt_credentials_provider=credentials.to_crt_credentials_provider(),
                                  use_ssl=False, part_size=8 << 20)
    from botocore.config import Config
    serializer = BotocoreCRTRequestSerializer(session, {
        "region_name": SAID["region"], "endpoint_url": endpoint, "config": Config(s3={"addressing_style": "path"})})
    with CRTTransferManager(client, serializer) as manager:
        futures = [manager.upload(str(path), SAID["bucket"], key(path)) for path in files]
        for future in futures:
            future.result()


def one_at_a_time(files):
    client = s3()
    for path in files:
        if path.stat().st_size > 4 << 30:  # a single PUT ends at 5 GiB
            from boto3.s3.transfer import TransferConfig
            client.upload_file(str(path), SAID["bucket"], key(path), Config=TransferConfig(use_threads=False))
            continue
        with open(path, "rb") as body:
            client.put_object(Bucket=SAID["bucket"], Key=key(path), Body=body)


def one_add_a_file(files):
    where = urllib.parse.urlsplit(SAID["api"])
    connection = http.client.HTTPConnection(where.hostname, where.port)
    for path in files:
        head = (f'--b\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n").encode()
        tail = b"\r\n--b--\r\n"

        def body():
            yield head
            with open(path, "rb") as file:
                while piece := file.read(1 << 20):
                    yield piece
            yield tail

        connection.request("POST", "/api/v0/add?cid-version=1&wrap-with-directory=true&progress=false", body(), {
            "Content-Type": "multipart/form-data; boundary=b",
            "Content-Length": str(len(head) + path.stat().st_size + len(tail))})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200 or text.count(b"\n") != 2:
            sys.exit(f"add: {answer.status} {text!r}")


def count(_):
    files = size = 0
    for page in s3().get_paginator("list_objects_v2").paginate(Bucket=SAID["bucket"]):
        for entry in page.get("Contents", []):
            files, size = files + 1, size + entry["Size"]
    print(json.dumps([files, size]))


main()
