"""Where data and runs are: a folder of this machine, or one on any file system that fsspec speaks to.

A local place is a plain `pathlib.Path`, and stays one: `file://` URLs too. What has another scheme is a `RemotePath`.
"""

from vsil_audit.places.addresses import Place, place
from vsil_audit.places.remote_path import RemotePath

__all__ = ["Place", "RemotePath", "place"]
