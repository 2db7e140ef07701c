#!/bin/sh
# Makes assistant.gguf, heldout.json and accuracy.json anew. Needs Python 3.10 or later with
# PyTorch 2.4 or later, one GPU with 16 GB of memory, and about ten minutes.
# Options: --minutes N of training, --workers N, --out FOLDER.
set -e
cd "$(dirname "$0")/recipe"
exec python3 make.py "$@"
