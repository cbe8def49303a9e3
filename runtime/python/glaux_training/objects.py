"""A minimal object store in memory, so that training loads the classes that S3 needs. It checks no signature."""

import hashlib
import http.server
import threading
import urllib.parse
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
_ISO = "2026-01-01T00:00:00.000Z"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: "dict[str, bytes]"
    uploads: "dict[str, dict[int, bytes]]"

    def log_message(self, *args):
        pass

    def _answer(self, status, body=b"", headers=(), length=None):
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _xml(self, text, status=200):
        self._answer(status, ('<?xml version="1.0" encoding="UTF-8"?>' + text).encode(), [("Content-Type", "application/xml")])

    def _body(self):
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
            whole, at = b"", 0
            while at < len(data):
                end = data.index(b"\r\n", at)
                size = int(data[at:end].split(b";")[0], 16)
                whole += data[end + 2:end + 2 + size]
                at = end + 4 + size
            return whole
        return data

    def _parts(self):
        url = urllib.parse.urlsplit(self.path)
        return urllib.parse.unquote(url.path).lstrip("/"), dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))

    def do_PUT(self):
        key, query = self._parts()
        data = self._body()
        if "uploadId" in query:
            self.uploads[query["uploadId"]][int(query["partNumber"])] = data
        elif "/" in key.rstrip("/"):
            source = self.headers.get("x-amz-copy-source")
            if source:
                data = self.objects.get(urllib.parse.unquote(source).lstrip("/"), b"")
                self.objects[key] = data
                self._xml("<CopyObjectResult><LastModified>%s</LastModified><ETag>%s</ETag></CopyObjectResult>" % (_ISO, _etag(data)))
                return
            self.objects[key] = data
        self._answer(200, headers=[("ETag", _etag(data))])

    def do_POST(self):
        key, query = self._parts()
        body = self._body()
        bucket, _, name = key.partition("/")
        if "uploads" in query:
            upload = "u%d" % len(self.uploads)
            self.uploads[upload] = {}
            self._xml("<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>" % (bucket, escape(name), upload))
        elif "uploadId" in query:
            parts = self.uploads.get(query["uploadId"], {})
            data = b"".join(parts[n] for n in sorted(parts))
            self.objects[key] = data
            self._xml("<CompleteMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><ETag>%s</ETag></CompleteMultipartUploadResult>" % (bucket, escape(name), _etag(data)))
        elif "delete" in query:
            names = [e.text for e in ET.fromstring(body).iter() if e.tag.endswith("Key")]
            for one in names:
                self.objects.pop(bucket + "/" + one, None)
            self._xml("<DeleteResult>%s</DeleteResult>" % "".join("<Deleted><Key>%s</Key></Deleted>" % escape(n) for n in names))
        else:
            self._xml("<Error><Code>NotImplemented</Code></Error>", 501)

    def do_DELETE(self):
        key, query = self._parts()
        self.objects.pop(key, None)
        self._answer(204)

    def do_HEAD(self):
        self._get()

    def do_GET(self):
        self._get()

    def _get(self):
        key, query = self._parts()
        bucket, _, name = key.partition("/")
        if not name:
            if "uploads" in query:
                self._xml("<ListMultipartUploadsResult><Bucket>%s</Bucket><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>" % bucket)
            else:
                self._list(bucket, query)
            return
        data = self.objects.get(key)
        if data is None:
            if self.command == "HEAD":
                self._answer(404)
            else:
                self._xml("<Error><Code>NoSuchKey</Code><Message>none</Message></Error>", 404)
            return
        headers = [("ETag", _etag(data)), ("Last-Modified", _DATE), ("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes")]
        span = self.headers.get("Range", "")
        if span.startswith("bytes="):
            first, _, last = span[6:].partition("-")
            start, end = int(first or 0), min(int(last or len(data) - 1), len(data) - 1)
            headers.append(("Content-Range", "bytes %d-%d/%d" % (start, end, len(data))))
            self._answer(206, data[start:end + 1], headers)
        else:
            self._answer(200, data, headers, len(data))

    def _list(self, bucket, query):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        found, groups = [], set()
        for key in sorted(self.objects):
            owner, _, name = key.partition("/")
            if owner != bucket or not name.startswith(prefix):
                continue
            rest = name[len(prefix):]
            if delimiter and delimiter in rest:
                groups.add(prefix + rest.split(delimiter)[0] + delimiter)
            else:
                found.append((name, self.objects[key]))
        self._xml("<ListBucketResult><Name>%s</Name><Prefix>%s</Prefix><KeyCount>%d</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>%s%s</ListBucketResult>" % (
            bucket, escape(prefix), len(found) + len(groups),
            "".join("<Contents><Key>%s</Key><LastModified>%s</LastModified><ETag>%s</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>" % (escape(n), _ISO, _etag(d), len(d)) for n, d in found),
            "".join("<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>" % escape(g) for g in sorted(groups))))


def _etag(data: bytes) -> str:
    return '"%s"' % hashlib.md5(data).hexdigest()


class Store:
    """The store, and the container credentials endpoint that sessions ask, on one loopback address."""

    def __init__(self):
        class Handler(_Handler):
            objects = {}
            uploads = {}

            def do_GET(self):
                if self.path.startswith("/credentials"):
                    self._answer(200, b'{"AccessKeyId":"ASIATRAINING","SecretAccessKey":"secret","Token":"token","Expiration":"2099-01-01T00:00:00Z"}', [("Content-Type", "application/json")])
                else:
                    super().do_GET()

        self.objects = Handler.objects
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def environment(self) -> "dict[str, str]":
        """What a session has so that S3 works with nothing configured."""
        return {
            "AWS_ENDPOINT_URL": self.url, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": self.url + "/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token",
        }

    def close(self):
        self._server.shutdown()
        self._server.server_close()
