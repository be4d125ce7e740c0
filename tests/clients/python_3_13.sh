#!/bin/sh
# Make .venv-clients/bin/python-wyoming, a Python with wyoming_openai, which needs Python 3.12 or later. Debian 12 has
# 3.11: there it is Debian 13's, with its C library, in a separate folder. apt verifies the signatures.
set -eu
home=$PWD/.venv-clients/python-3.13
program=$PWD/.venv-clients/bin/python-wyoming
packages="python3.13-minimal libpython3.13-minimal libpython3.13-stdlib libc6 libexpat1 zlib1g libssl3t64 libffi8
  libsqlite3-0 libbz2-1.0 liblzma5 libuuid1 libgcc-s1 libstdc++6 libzstd1"

rm -rf "$home" "$program"
mkdir -p "$home/lists/partial" "$home/archives/partial"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] http://deb.debian.org/debian trixie main" > "$home/sources.list"
set -- -o APT::Sandbox::User=root -o Dir::Etc::SourceList="$home/sources.list" -o Dir::Etc::SourceParts=/dev/null \
  -o Dir::State::Lists="$home/lists" -o Dir::Cache="$home" --quiet=2
apt-get "$@" update
(cd "$home" && apt-get "$@" download $packages && for package in *.deb; do dpkg -x "$package" .; done)

libraries=$(dirname "$home"/usr/lib/*/libc.so.6)
cat > "$program" << END
#!/bin/sh
export PYTHONHOME="$home/usr" PYTHONPATH="$home/packages"
exec "$home"/usr/lib64/ld-linux-x86-64.so.2 --library-path "$libraries" "$home/usr/bin/python3.13" "\$@"
END
chmod +x "$program"

# Debian's Python has no pip: it runs the one of the environment.
pip=$(.venv-clients/bin/python -c 'import pip; print(pip.__path__[0])')
"$program" "$pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --root-user-action=ignore \
  --target "$home/packages" -r requirements/wyoming.txt
rm -rf "$home"/*.deb "$home/lists" "$home/archives"
