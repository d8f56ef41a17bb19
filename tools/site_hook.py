"""What MkDocs asks while it builds the site: links to files of the repository.

A page links to `../configs/health.toml` for those who read it in a checkout. The site has no
such file: the link leads to the repository's address where mkdocs.yml has one
(`extra: repository`), and else becomes the path as text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>jaxpad</title>
<meta http-equiv="refresh" content="0; url=start/">
<a href="start/">Start in 60 seconds</a>
</html>
"""
# [text](../path#part), but nothing inside `code`.
_LINK = re.compile(
    r"(?P<code>`[^`\n]*`)|(?P<image>!)?\[(?P<text>(?:[^\]`]|`[^`]*`)*)\]\(\.\./(?P<path>[^)\s]+)\)"
)
_FENCE = re.compile(r"(^(?:```|~~~).*?^(?:```|~~~)[ \t]*$)", re.S | re.M)


def on_page_markdown(markdown: str, *, config: Any, **_: Any) -> str:
    """MkDocs's event for the text of each page, before it is rendered."""
    return outside(markdown, str(config.extra.get("repository") or ""))


def outside(markdown: str, repository: str) -> str:
    """`markdown` with its links to the repository's files resolved; fenced code stays as it is."""
    parts = _FENCE.split(markdown)
    parts[::2] = [_LINK.sub(lambda m: _resolved(m, repository), part) for part in parts[::2]]
    return "".join(parts)


def _resolved(link: re.Match[str], repository: str) -> str:
    if link["code"]:
        return link["code"]
    if repository:
        return f"[{link['text']}]({repository.rstrip('/')}/blob/main/{link['path']})"
    path = f"`{link['path'].partition('#')[0]}`"
    bare = link["text"].strip("`")
    return path if link["path"].endswith(bare) else f"{link['text']} ({path})"


def on_post_page(output: str, **_: Any) -> str:
    """MkDocs's event for a page of HTML: the theme's search dialog has no name of its own."""
    return output.replace('role="dialog">', 'role="dialog" aria-label="Search">')


def on_post_build(*, config: Any, **_: Any) -> None:
    """MkDocs's event when all is written: the site's root leads to its first page."""
    first = Path(config.site_dir, "start", "index.html")
    if not first.is_file():
        raise FileNotFoundError(f"{first}: the site begins with docs/start.md, which is not there")
    Path(config.site_dir, "index.html").write_text(ROOT, encoding="utf-8")
