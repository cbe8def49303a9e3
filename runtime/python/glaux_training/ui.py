"""A look at the Spark UI, for its classes: people wait for its first page, too."""

import urllib.error
import urllib.request

from glaux_training.session import Session

SECRET = "secret-of-the-ui-in-training"

PAGES = (
    "/jobs/", "/jobs/job/?id=0", "/stages/", "/stages/stage/?id=0&attempt=0", "/stages/pool/?poolname=default", "/storage/",
    "/environment/", "/executors/", "/executors/threadDump/?executorId=driver", "/SQL/", "/SQL/execution/?id=0", "/StreamingQuery/",
    "/connect/", "/static/webui.js", "/api/v1/applications",
)


def look(session: Session) -> None:
    """Opens the UI and every page of it; one that cannot be shown is no failure of the training."""
    session.driver.send({"op": "ui", "n": 1})
    port = session.driver.wait("ui")["port"]
    for page in PAGES:
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (port, page), headers={"X-Glaux-Session-Secret": SECRET})
        try:
            urllib.request.urlopen(request, timeout=30).read()
        except urllib.error.HTTPError as missing:
            if missing.code == 401:
                raise
