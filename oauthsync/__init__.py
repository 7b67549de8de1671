"""Back up the custom OAuth profiles of a Workato workspace, and put them back."""

__version__ = "0.1.0"
