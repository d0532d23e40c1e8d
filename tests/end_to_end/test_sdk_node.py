"""The vendors' published Node SDKs, unmodified but for their host, where npm can install them."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

PACKAGES = ("@segment/analytics-node@3", "posthog-node@5", "mixpanel@0.24")
DRIVER = Path(__file__).parent / "sdk_driver.cjs"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no npm")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text("{}")
    install = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES)
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=150, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install the SDKs: {done.stderr[-300:]}")
    shutil.copy(DRIVER, folder)
    return folder


@pytest.mark.parametrize("vendor", ["segment", "posthog", "mixpanel"])
def test_a_hundred_events_past_a_restarted_gateway_and_a_limit(sdk_run, packages, wait_until, vendor):
    command = ("node", DRIVER.name, vendor, sdk_run.url, sdk_run.key)
    with subprocess.Popen(command, cwd=packages, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as driver:
        wait_until(lambda: driver.poll() is not None or sdk_run.metric(vendor, 429), "the limit refuses a request")
        assert sdk_run.metric(vendor, 200)
        assert driver.poll() is None
        sdk_run.end_gateway()
        ends = time.monotonic() + 120
        while driver.poll() is None and time.monotonic() < ends:
            time.sleep(0.2)
        driver.kill()
        said = driver.stdout.read() if driver.stdout else ""
    assert driver.returncode == 0, said
    sdk_run.check(vendor, limited=True)
