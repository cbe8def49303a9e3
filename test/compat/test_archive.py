"""The start-up archive: a damaged one slows drivers down and keeps none from starting."""

import json

import urllib3

from conftest import RUNTIME, Server, Spark


def test_a_damaged_archive(tmp_path):
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    manifest = json.loads((RUNTIME / "runtime.json").read_text())
    damaged = runtime / "damaged.jsa"
    damaged.write_bytes(b"no archive")
    manifest.update(archive=str(damaged), archiveBytes=10, archiveSum="crc32c:00000000")
    (runtime / "runtime.json").write_text(json.dumps(manifest))
    server = Server(tmp_path, "--runtime-dir", runtime).start()
    try:
        assert Spark(server).wait()["State"] == "IDLE"
        metrics = urllib3.request("GET", f"http://{server.names['metrics']}/metrics").data.decode()
        assert 'glaux_driver_starts_total{archive="unused"} 1' in metrics.splitlines()
        said = [line for line in (tmp_path / "server.log").read_text().splitlines() if "start-up archive" in line]
        assert "damaged" in said[0] and "glaux runtime install" in said[0]
        assert "a driver runs without the start-up archive" in said[1] and len(said) == 2
    finally:
        server.stop()
