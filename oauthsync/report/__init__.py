"""A page about a backup folder: one HTML file that needs nothing from anywhere else.

`facts.gather` reads the folder, `page.render` makes the page. The same facts give the same bytes.
"""

from oauthsync.report.facts import Facts, gather
from oauthsync.report.page import is_page, render

__all__ = ["Facts", "gather", "is_page", "render"]
