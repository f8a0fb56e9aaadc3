"""Networks of every family. Nothing here knows of Lightning, files or HTTP."""
