"""Links that lead somewhere: `book.py pages` looks at the pages as they stand in the repository, and
at the code that the tour names; `book.py DIRECTORY` at the book that was made of them."""

import html.parser
import os
import re
import sys
import urllib.parse

PAGES = ["README.md", "CHANGELOG.md"] + sorted(
    "docs/" + name for name in os.listdir("docs") if name.endswith(".md")
)
# What a machine may be told to fetch; everything else is a file.
ELSEWHERE = re.compile(r"^(https?:|mailto:)")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def prose(page):
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", read(page), flags=re.M | re.S)


def anchors(page):
    """What its headings are called by those who link to them."""
    found = []
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.M):
        words = re.sub(r"[`*]", "", heading).lower()
        found.append(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return found


def check_pages():
    wrong = []
    listed = re.findall(r"\]\(([\w.]+)\)", read("docs/SUMMARY.md"))
    for name in os.listdir("docs"):
        if name.endswith(".md") and name != "SUMMARY.md" and name not in listed:
            wrong.append(f"docs/{name} is not in docs/SUMMARY.md")
    for page in PAGES:
        text = re.sub(r"`[^`\n]*`", "", prose(page))
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if ELSEWHERE.match(link):
                continue
            path, _, anchor = link.partition("#")
            file = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not os.path.exists(file):
                wrong.append(f"{page}: {link}: there is no {file}")
            elif page.startswith("docs/") and not file.startswith("docs/"):
                wrong.append(f"{page}: {link}: not in the book; name the file without a link")
            elif anchor and anchor not in anchors(file):
                wrong.append(f"{page}: {link}: {file} has no such heading")
    return wrong


def check_tour():
    """Files that are there, and functions that are in them."""
    wrong = []
    for line in read("docs/TOUR.md").splitlines():
        for path in re.findall(r"`((?:src|journal|wire|examples)/[\w/]+\.rs)`", line):
            if not os.path.exists(path):
                wrong.append(f"docs/TOUR.md: there is no {path}")
        for path, name in re.findall(r"`((?:src|journal)/[\w/]+\.rs)`,? `(\w+)`", line):
            if os.path.exists(path) and not re.search(rf"\b(fn|struct) {name}\b", read(path)):
                wrong.append(f"docs/TOUR.md: {path} has no {name}")
    return wrong


def check_picture():
    """The README's picture is the one at the top of the library."""
    picture = re.search(r"^```text\n(.*?)^```$", read("README.md"), re.M | re.S)[1]
    text = "".join(line[4:] if line.startswith("//! ") else "\n"
                   for line in read("src/lib.rs").splitlines(True) if line.startswith("//!"))
    return [] if picture in text else ["README.md: its picture is not that of src/lib.rs"]


def check_rules():
    """Alerts name runbooks that are there."""
    wrong = []
    for path in ["ops/prometheus/ringframe.rules.yml"]:
        for page, anchor in re.findall(r"runbook: '([\w/.]+)#([\w-]+)'", read(path)):
            if anchor not in anchors(page):
                wrong.append(f"{path}: {page} has no heading '{anchor}'")
    return wrong


class Links(html.parser.HTMLParser):
    """What a page of the book links to, and what can be linked to in it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(read(path))

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.ids.add(value)


def check_book(book):
    paths = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(book)
        for name in names
        if name.endswith(".html")
    ]
    pages = {path: Links(path) for path in paths}
    wrong = []
    for path, page in pages.items():
        # They are for whoever lost his way, and for the table of contents in a frame.
        if os.path.basename(path) in ("404.html", "toc.html"):
            continue
        for link in page.links:
            if ELSEWHERE.match(link) or link.startswith(("data:", "javascript:")):
                continue
            to, _, anchor = urllib.parse.unquote(link).partition("#")
            file = os.path.normpath(os.path.join(os.path.dirname(path), to)) if to else path
            where = f"{os.path.relpath(path, book)}: {link}"
            if not os.path.exists(file):
                wrong.append(f"{where}: there is no such file")
            elif anchor and file in pages and anchor not in pages[file].ids:
                wrong.append(f"{where}: there is no such heading")
    links = sum(len(page.links) for page in pages.values())
    print(f"{len(pages)} pages, {links} links")
    return wrong


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] == "pages":
        wrong = check_pages() + check_tour() + check_picture() + check_rules()
    else:
        wrong = check_book(sys.argv[1])
    if wrong:
        sys.exit("\n".join(wrong))


main()
