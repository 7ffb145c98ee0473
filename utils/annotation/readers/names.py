"""What a recording is called: the name of its media file, without folders and suffix."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import unquote

_SUFFIX = re.compile(
    r"\.(mp4|m4v|avi|mkv|mov|webm|mpe?g|mts|ts|wmv|flv|ogv|wav|mp3|flac|ogg|npy|csv|txt|eaf|vtt|srt)$", re.IGNORECASE
)


def media_name(path: str) -> str:
    """The name without folders of either system and without the suffix of a media file or an annotation.

    Example:
        >>> media_name("file:///C:/videos/P01%20a.MP4"), media_name(r"C:\\videos\\b.tea.avi"), media_name("v1.2")
        ('P01 a', 'b.tea', 'v1.2')
    """
    if "://" in path or path.startswith("file:"):
        path = unquote(path.partition("?")[0])
    name = PureWindowsPath(PurePosixPath(path.strip()).name).name
    return _SUFFIX.sub("", name)
