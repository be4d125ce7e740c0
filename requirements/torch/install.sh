#!/bin/sh
# Install torch, torchaudio and torchcodec: install.sh PIP [VERSION of torch]
#
# Each machine needs the build for its CPU or GPU. Builds from PyPI are verified by the hashes next to this file. Those of
# another index, whose versions have a suffix such as +cpu, have unknown hashes: the script prints which packages these are.
set -eu

pip=$1
torch=${2:-2.13.0}
locks=$(dirname "$0")

install() {
    "$pip" install --quiet --disable-pip-version-check "$@"
}

is_pypis() { # whether pip would install exactly this version, not one with a suffix
    install --dry-run --ignore-installed --no-deps --report - "$1" | grep -q "\"version\": \"${1#*==}\""
}

if [ "$torch" = 2.13.0 ] && is_pypis torch==2.13.0; then
    install --require-hashes -r "$locks/torch.txt"
else
    echo "torch $torch: from another index than PyPI, or another version; not verified by hash"
    install "torch==$torch"
fi

if is_pypis torchaudio==2.11.0 && is_pypis torchcodec==0.12.0; then
    install --no-deps --require-hashes -r "$locks/codecs.txt"
else
    echo "torchaudio, torchcodec: from another index than PyPI; not verified by hash"
    install --no-deps torchaudio==2.11.0 torchcodec==0.12.0
fi
