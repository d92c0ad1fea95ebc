"""A real HTTP server on loopback that can be as bad as the worst network, and archives in the published formats."""
import functools
import gzip
import hashlib
import io
import struct
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn

import numpy as np
import pytest
from PIL import Image

from slimtune import fetch, terminal


class Mirror(ThreadingMixIn, HTTPServer):
    """Serves `files`. `plan`: what the next answers do instead of the right thing, a dict each:

    status, retry_after: an error. cut: send so many bytes of the body, then break off; stall: fall silent instead.
    ranges: False ignores Range; lie: True honours it for a file that has changed. then: called after the answer.
    length: the length it claims. tag: the ETag; None for no validator at all.
    """
    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.files, self.plan, self.seen, self.validators = {}, [], [], True
        self.silence = threading.Event()
        self.url = 'http://127.0.0.1:%d' % self.server_port

    def handle_error(self, request, client_address):
        pass            # a client that gave up

    def ranges(self):
        """The Range header of each request so far."""
        return [headers.get('Range') for _, headers in self.seen]


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def do_GET(self):
        server = self.server
        server.seen.append((self.path, dict(self.headers)))
        plan = server.plan.pop(0) if server.plan else {}
        data = server.files.get(self.path.rsplit('/', 1)[-1])
        status = plan.get('status') or (200 if data is not None else 404)
        if status != 200:
            self.send_response(status)
            if 'retry_after' in plan:
                self.send_header('Retry-After', str(plan['retry_after']))
            self.send_header('Content-Length', '0')
            self.end_headers()
            return
        tag = '"%s"' % hashlib.md5(data).hexdigest()
        start = int(self.headers['Range'][len('bytes='):-1]) if 'Range' in self.headers else 0
        same = plan.get('lie') or self.headers.get('If-Range') == tag
        if not start or not same or plan.get('ranges') is False:
            start = 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header('Content-Range', 'bytes %d-%d/%d' % (start, len(data) - 1, len(data)))
        if server.validators and not plan.get('lie'):
            self.send_header('ETag', tag)
        body = data[start:]
        self.send_header('Content-Length', str(plan.get('length', len(body))))
        self.end_headers()
        self.wfile.write(body[:plan.get('cut', len(body))])
        self.wfile.flush()
        if 'then' in plan:
            plan['then']()
        if plan.get('stall'):
            server.silence.wait(30)
        self.close_connection = True


@pytest.fixture
def mirror(monkeypatch):
    """The server; the downloader hurries, as every try counts."""
    monkeypatch.setattr(fetch, 'PAUSES', (0.01, 0.02))
    monkeypatch.setattr(fetch, 'TIMEOUT', (5, 0.5))
    server = Mirror()
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02})
    thread.start()
    yield server
    server.silence.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own, and none of the machine's settings."""
    terminal.setup()        # what is said goes to this test's output
    for name in ('SLIMTUNE_MIRROR', 'SLIMTUNE_CHECKSUMS', 'http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    monkeypatch.setenv('SLIMTUNE_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def download(said_by):
    """Runs `slimtune download`: download(words...) -> what it says. code: the exit code expected."""
    return functools.partial(said_by, 'download')


@pytest.fixture
def tarred():
    """Makes a tar: tarred({name: bytes}, 'w:gz') -> bytes."""
    def make(contents, mode='w:gz'):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode=mode) as tar:
            for name, data in contents.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return stream.getvalue()
    return make


@pytest.fixture
def jpeg():
    """Makes a small JPEG that no other seed gives: jpeg(seed, size) -> bytes."""
    def make(seed, size=(40, 32)):
        stream = io.BytesIO()
        Image.fromarray(np.random.RandomState(seed).randint(0, 256, size[::-1] + (3,)).astype(np.uint8)).save(stream, 'JPEG')
        return stream.getvalue()
    return make


@pytest.fixture(scope='session')
def digits():
    """scikit-learn's handwritten digits in MNIST's files: ({name: bytes}, {split: (pictures [n, 28, 28], labels)})."""
    from sklearn.datasets import load_digits
    data = load_digits()
    pictures = np.stack([np.asarray(Image.fromarray(np.uint8(np.clip(image * 16, 0, 255))).resize((28, 28), Image.BICUBIC))
                         for image in data.images])
    files, truth = {}, {}
    for split, prefix, rows in (('train', 'train', slice(0, 1400)), ('test', 't10k', slice(1400, None))):
        images, labels = pictures[rows], np.uint8(data.target[rows])
        files[prefix + '-images-idx3-ubyte.gz'] = gzip.compress(struct.pack('>4I', 0x803, len(images), 28, 28) + images.tobytes())
        files[prefix + '-labels-idx1-ubyte.gz'] = gzip.compress(struct.pack('>2I', 0x801, len(labels)) + labels.tobytes())
        truth[split] = (images, labels)
    return files, truth


@pytest.fixture
def pinned(tmp_path, monkeypatch):
    """Pins the sums of these files, as a user does who serves files of their own: pinned({name: bytes})."""
    def pin(files):
        path = tmp_path / 'SHA256SUMS'
        path.write_text(''.join('%s  %s\n' % (hashlib.sha256(data).hexdigest(), name) for name, data in files.items()))
        monkeypatch.setenv('SLIMTUNE_CHECKSUMS', str(path))
        return path
    return pin
