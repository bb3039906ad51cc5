#!/usr/bin/env bash
# Certificates and access list for a broker and its stations, with openssl alone:
#   make-certificates.sh FOLDER BROKER_HOST NET.STA.LOC…
# FOLDER gets ca.crt, broker.crt and .key, one .crt and .key a station, a collector's, and acl. Run it again with
# further stations to add them; nothing that is there is made anew. Keep ca.key off the broker and the stations.
# Keys and acl are readable by you alone; the broker's user needs broker.key and acl: see docs/uplink.md, MQTT.
set -euo pipefail
umask 077
if [ $# -lt 2 ]; then
  sed -n '2,7s/^# //p' "$0" >&2
  exit 2
fi
mkdir -p "$1"
cd "$1"
host=$2
shift 2
days=3650

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" 2>/dev/null; }

signed() { # name, extensions
  [ -e "$1.crt" ] && return
  [ -e ca.key ] || {
    echo "ca.key is not in $PWD: put it back for this run" >&2
    exit 2
  }
  key "$1"
  openssl req -new -key "$1.key" -subj "/O=seis/CN=$1" |
    openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days $days -extfile <(echo "$2") -out "$1.crt.part"
  mv "$1.crt.part" "$1.crt"
}

if [ ! -e ca.crt ]; then
  key ca
  openssl req -x509 -new -key ca.key -subj "/O=seis/CN=seis CA" -days $days -out ca.crt \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
fi

if [[ $host =~ ^[0-9.]+$|: ]]; then
  names=IP:$host
else
  names=DNS:$host
fi
if [ ! -e broker.crt ]; then
  signed broker "subjectAltName=$names
extendedKeyUsage=serverAuth"
fi

signed collector "extendedKeyUsage=clientAuth"
touch acl
grep -qx 'user collector' acl || printf 'user collector\ntopic read seis/v1/#\n\n' >>acl

for station in "$@"; do
  [[ $station =~ ^[A-Za-z0-9]+\.[A-Za-z0-9]+\.[A-Za-z0-9]*$ ]] || {
    echo "$station is not NET.STA.LOC, such as AM.SHED.00 (LOC may be empty)" >&2
    exit 2
  }
  signed "$station" "extendedKeyUsage=clientAuth"
  IFS=. read -r net sta loc <<<"$station"
  grep -qx "user $station" acl ||
    printf 'user %s\ntopic write seis/v1/%s/%s/%s/#\n\n' "$station" "$net" "$sta" "${loc:---}" >>acl
done
chmod 644 ./*.crt
