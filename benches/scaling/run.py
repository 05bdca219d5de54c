"""Lets an endpoint of sagemaker-local meet a bursty load and draws what becomes of its instances; started by scripts/picture-scaling.

The load is the minute of requests.csv (100 requests in five bursts), over and over for as long as --busy says, then silence. Time is the platform's: after
each ten seconds' requests its clock is put ahead by ten seconds, so that half an hour takes about two minutes.
"""

import argparse
import csv
import json
import os
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

HERE = Path(__file__).parent
STEP = 10
MINUTE = 60
QUIET_MINUTES = 3
WIDTH, LEFT, RIGHT = 720, 48, 16
PANELS = (("Requests a minute", 30, 90), ("Instances", 160, 80))


def advance(seconds):
    """Puts the platform's clock ahead; the request is signed as the API wants it."""
    body = json.dumps({"AdvanceInSeconds": seconds})
    url = os.environ["AWS_ENDPOINT_URL"] + "/_local/clock"
    request = AWSRequest(method="POST", url=url, data=body)
    credentials = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(credentials, "sagemaker", os.environ["AWS_DEFAULT_REGION"]).add_auth(request)
    urllib.request.urlopen(urllib.request.Request(url, body.encode(), dict(request.headers)), timeout=60).read()


def minute():
    """The texts of each ten seconds of the recorded minute."""
    steps = [[] for _ in range(MINUTE // STEP)]
    with open(HERE / "requests.csv", newline="") as file:
        for row in csv.DictReader(file):
            steps[int(float(row["second"])) // STEP].append(row["description"])
    return steps


def instances(sagemaker, endpoint):
    """Instances that are up, once nothing is being changed."""
    while True:
        described = sagemaker.describe_endpoint(EndpointName=endpoint)
        if described["EndpointStatus"] != "Updating":
            return described["ProductionVariants"][0]["CurrentInstanceCount"]
        time.sleep(0.05)


def measure(endpoint, busy, whole):
    """For each ten seconds: the requests in them, and the instances after them."""
    config = Config(retries={"total_max_attempts": 1})
    runtime, sagemaker = boto3.client("sagemaker-runtime", config=config), boto3.client("sagemaker", config=config)
    load, points = minute(), []
    for step in range(whole * MINUTE // STEP):
        at = step * STEP / MINUTE
        texts = load[step % len(load)] if QUIET_MINUTES <= at < QUIET_MINUTES + busy else []
        for text in texts:
            body = json.dumps({"inputs": text})
            answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="application/json", Body=body)
            answer["Body"].read()
        advance(STEP)
        # The platform looks at its metrics when the clock tells it to; a moment later it has.
        time.sleep(0.15)
        points.append((at, len(texts), instances(sagemaker, endpoint)))
    return points


def draw(points):
    """Requests a minute as bars, instances as steps, on one axis of time."""
    minutes = points[-1][0] + STEP / MINUTE
    x = lambda at: LEFT + at / minutes * (WIDTH - LEFT - RIGHT)  # noqa: E731
    height = PANELS[-1][1] + PANELS[-1][2] + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t" font-family="sans-serif" font-size="13">',
        "<title id=\"t\">An endpoint of sagemaker-local under a bursty load: it grows from 1 to 4 instances and shrinks to 1 again</title>",
        "<style>text{fill:#444}.bar{fill:#6b7784}.line{fill:none;stroke:#0b6bcb;stroke-width:2}.grid{stroke:#ccc}"
        "@media(prefers-color-scheme:dark){text{fill:#bbb}.bar{fill:#9aa4af}.line{stroke:#5aa9f5}.grid{stroke:#444}}</style>",
    ]
    by_minute = {}
    for at, requests, _ in points:
        by_minute[int(at)] = by_minute.get(int(at), 0) + requests
    for (name, top, tall), most in zip(PANELS, (100, 4)):
        y = lambda value: top + tall - value / most * tall  # noqa: B023, E731
        parts.append(f'<text x="{LEFT}" y="{top - 12}" font-weight="600">{name}</text>')
        for value in (0, most) if most == 100 else range(0, most + 1):
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value}</text>')
        if most == 100:
            wide = x(1) - x(0) - 2
            parts += [f'<rect class="bar" x="{x(at):.1f}" y="{y(n):.1f}" width="{wide:.1f}" height="{y(0) - y(n):.1f}"/>' for at, n in by_minute.items() if n]
        else:
            corners, before = [], points[0][2]
            for at, _, count in points:
                corners += [(x(at), y(before)), (x(at), y(count))]
                before = count
            corners.append((x(minutes), y(before)))
            parts.append(f'<polyline class="line" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}"/>')
    bottom = PANELS[-1][1] + PANELS[-1][2]
    for at in range(0, int(minutes) + 1, 5):
        parts.append(f'<text x="{x(at):.1f}" y="{bottom + 20}" text-anchor="middle">{at}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{bottom + 36}" text-anchor="end">minutes</text></svg>')
    return "\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--busy", type=int, default=8, help="minutes with load [8]")
    parser.add_argument("--whole", type=int, default=32, help="minutes in all [32]")
    parser.add_argument("--picture", required=True, type=Path)
    args = parser.parse_args()
    points = measure(args.endpoint, args.busy, args.whole)
    found = boto3.client("application-autoscaling").describe_scaling_activities(ServiceNamespace="sagemaker")["ScalingActivities"]
    args.picture.write_text(draw(points))
    before = points[0][2]
    print(f"minute {0:5.1f}: {before} instance(s)")
    for at, _, count in points:
        if count != before:
            print(f"minute {at + STEP / MINUTE:5.1f}: {count} instance(s)")
            before = count
    for activity in reversed(found):
        print(f"{activity['Description']} {activity['StatusCode']}: {activity['Cause']}")


main()
