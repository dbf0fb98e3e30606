"""A static web site, mirrored."""

import json
import random
import re
import shutil
from urllib.parse import urlsplit

from measure import in_turns, megabytes, number, rampart, run, say, seconds, table, times
from servers import AccessLog, nginx

HOST, PORT = "127.92.0.80", 8092
ROOT = f"http://{HOST}:{PORT}/"
NO_CAP = 1_000_000
CHILDREN = 3


def path(page):
    return "/" if page == 0 else f"/section-{page % 20}/page-{page}.html"


def write_site(directory, pages):
    """A tree in which every page links to three others, to its parent and to a few elsewhere: eight clicks deep for 5,000 pages.
    Each page has the same style sheet, one of 40 images and a kilobyte or two of text."""
    chance = random.Random(80)
    vocabulary = [f"word{index}" for index in range(500)]
    for section in range(20):
        (directory / f"section-{section}").mkdir(parents=True)
    (directory / "images").mkdir()
    for image in range(40):
        (directory / f"images/{image}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chance.randbytes(2_000))
    (directory / "style.css").write_text("body { font-family: sans-serif; background: url(/images/0.png); }\n")
    for page in range(pages):
        children = [child for child in range(page * CHILDREN + 1, page * CHILDREN + CHILDREN + 1) if child < pages]
        others = [(page - 1) // CHILDREN] if page else []
        others += chance.sample(range(pages), 4)
        links = "\n".join(f'<li><a href="{path(other)}">Page {other}</a></li>' for other in children + others)
        text = "\n".join(f"<p>{' '.join(chance.choices(vocabulary, k=60))}</p>" for _ in range(4))
        (directory / path(page).lstrip("/") if page else directory / "index.html").write_text(
            f'<!DOCTYPE html>\n<html lang="en"><head><title>Page {page}</title><link rel="stylesheet" href="/style.css"></head>\n'
            f'<body><h1>Page {page}</h1><img src="/images/{page % 40}.png" alt="">\n{text}\n<ul>\n{links}\n</ul></body></html>\n'
        )


def html_paths(urls):
    """The pages among URLs, as paths; fragments and files that are no pages left out."""
    paths = {urlsplit(url).path or "/" for url in urls}
    return {"/" if one == "/index.html" else one for one in paths if one.endswith((".html", "/"))}


def of_rampart(output, _):
    return html_paths(asset["url"] for asset in json.loads(output)["assets"] if asset["kind"] == "page" and asset["status"] == 200)


def of_wget(_, mirror):
    return html_paths("/" + str(file.relative_to(mirror)) for file in mirror.rglob("*") if file.is_file())


def of_spider(output, _):
    return html_paths(re.findall(r"http://[^\s\"',]+", output))


READERS = {"rampart": of_rampart, "wget": of_wget, "spider": of_spider, "spider --sync": of_spider}


def main(directory, trying, problems):
    rounds = 1 if trying else 5
    most = 500 if trying else 5_000
    site = directory / "site"
    write_site(site, most)
    mirror = directory / "mirror"

    def wget():
        shutil.rmtree(mirror, ignore_errors=True)
        mirror.mkdir()
        return run(["wget", "--mirror", "-q", "-nH", "-e", "robots=off", "-P", mirror, ROOT])

    caps = ("--rate", NO_CAP, "--host-rate", NO_CAP, "--host-connections", 64, "--robots", "ignore")
    commands = {
        "rampart": lambda: run(rampart(ROOT, "--stages", "crawl", "--profile", "deep", *caps)),
        "wget": wget,
        "spider": lambda: run(["spider", "--url", ROOT, "--http", "crawl", "--output-links"]),
        "spider --sync": lambda: run(["spider", "--url", ROOT, "--http", "crawl", "--sync", "--output-links"]),
    }
    truth = {path(page) for page in range(most)}
    settings = f"server {{ listen {HOST}:{PORT}; root {site}; }}"
    with nginx(directory, settings, (HOST, PORT)):
        log = AccessLog(directory)
        log.since()
        asked, found = {name: [] for name in commands}, {name: [] for name in commands}

        def watched(name):
            result = commands[name]()
            asked[name].append(log.since())
            found[name].append(READERS[name](result.output, mirror))
            return result

        say(f"  {number(most)} pages")
        runs = in_turns(rounds, {name: lambda name=name: watched(name) for name in commands})
    print(f"A static site of {number(most)} pages, eight links deep, with a style sheet and 40 images, on nginx with one worker. Rampart with")
    print("`--profile deep` and 16 connections at a time, wget with the one it has, spider_cli as it comes and one page after another.\n")
    rows = []
    for name, runs_ in runs.items():
        fetched = [html_paths(f"http://{host}{target}" for status, host, target in lines if status == "200") for lines in asked[name]]
        whole = sum(server == truth and told == truth for server, told in zip(fetched, found[name]))
        pages = sum(map(len, fetched)) / rounds
        rows.append(
            (name, f"{whole} of {rounds}", number(pages), number(pages / runs_.seconds), seconds(runs_.seconds), runs_.spread)
            + (times(runs_.seconds, runs["rampart"].seconds), megabytes(runs_.megabytes), number(max(map(len, asked[name]))))
        )
        if name == "rampart":
            problems.expect(whole == rounds, f"crawl: rampart's pages were the site's in {whole} of {rounds} rounds")
        elif whole:
            problems.expect(runs["rampart"].seconds < runs_.seconds, f"crawl: rampart was slower than {name}")
    heads = (f"{number(most)} pages", "whole site", "pages fetched", "pages/s", "median", "range", "time / rampart", "peak memory", "requests")
    table(heads, rows)
    print("Whole site: rounds in which the set of pages that the tool tells of and the set that the server was asked for (its log) both")
    print("are the site's pages, path by path. Rampart and wget fetch the style sheet and the images as well. spider_cli, run as it")
    print("comes, ends before it is done when the server is this fast; its time then says nothing.\n")
