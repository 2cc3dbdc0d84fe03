#!/bin/sh
# What the profile `secure` of docker-compose.yml needs to be secret, made once:
#   secrets.sh FOLDER HOST      for a broker that is reached as HOST, and as localhost
# FOLDER/broker has the broker's key, certificate and users; FOLDER/administrator, topics and sheetstream have the properties file of a
# client each. Nobody needs another's folder. The authority signs one certificate; its key is thrown away, and nobody can sign another.
# To renew all of it, remove the folders (docker compose down, docker volume rm) and start again.
set -eu
[ $# -eq 2 ] || {
  sed -n '3,6s/^# \{0,1\}//p' "$0" >&2
  exit 64
}
folder=$1 host=$2
broker=$folder/broker
days=825
users='administrator topics sheetstream'

# The last file that is written.
if [ -e "$broker/broker.properties" ]; then
  echo "secrets: they are there"
  exit 0
fi

# Each is a volume of its own that its one reader mounts, as another user than the one who writes here.
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for user in broker $users; do mkdir -p "$folder/$user"; done

password() { head -c 24 /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_'; }

# The password of the stores, which keytool reads from a variable.
STORE=$(password)
export STORE
store() { # KEYSTORE ARGUMENT ...
  keystore=$1
  shift
  keytool "$@" -keystore "$keystore" -storetype PKCS12 -storepass:env STORE
}
pair() { # KEYSTORE ALIAS NAME ARGUMENT ...
  keystore=$1 alias=$2 name=$3
  shift 3
  store "$keystore" -genkeypair -alias "$alias" -dname "CN=$name" -keyalg EC -groupname secp256r1 -validity "$days" "$@"
}

pair "$work/authority.p12" authority "sheetstream authority" -ext bc:critical=ca:true
store "$work/authority.p12" -exportcert -rfc -alias authority >"$broker/ca.pem"

pair "$work/keystore.p12" broker "$host"
store "$work/keystore.p12" -certreq -alias broker >"$work/request.pem"
store "$work/authority.p12" -gencert -rfc -alias authority -validity "$days" -infile "$work/request.pem" \
  -ext "san=dns:$host,dns:localhost" -ext eku=serverAuth >"$work/broker.pem"
store "$work/keystore.p12" -importcert -noprompt -alias authority -file "$broker/ca.pem"
store "$work/keystore.p12" -importcert -noprompt -alias broker -file "$work/broker.pem"
cp "$work/keystore.p12" "$broker/keystore.p12"

module=org.apache.kafka.common.security.plain.PlainLoginModule
client() { # USER PASSWORD
  printf 'security.protocol=SASL_SSL\nssl.truststore.type=PEM\nssl.truststore.certificates='
  sed 's/$/\\n/' "$broker/ca.pem" | tr -d '\r\n'
  printf '\nsasl.mechanism=PLAIN\nsasl.jaas.config=%s required username="%s" password="%s";\n' "$module" "$1" "$2"
}

secret=$(password)
all="user_broker=\"$secret\""
jaas="$module required username=\"broker\" password=\"$secret\""
client broker "$secret" >"$broker/client.properties"
for user in $users; do
  secret=$(password)
  all="$all user_$user=\"$secret\""
  client "$user" "$secret" >"$folder/$user/client.properties"
done
printf 'keystore=%s\nusers=%s %s;\n' "$STORE" "$jaas" "$all" >"$work/broker.properties"
cp "$work/broker.properties" "$broker/broker.properties"
echo "secrets: made"
