#!/usr/bin/env bash
# The RabbitMQ Java client. Called as ../README.md says.
set -euo pipefail
readonly version=5.37.1
here=$(cd "$(dirname "$0")" && pwd)
client=$scratch/java

if [ "${1:-}" = install ]; then
    if [ ! -e "$client/lib/amqp-client-$version.jar" ]; then
        rm -rf "$client/lib"
        mvn --quiet --batch-mode -f "$here/pom.xml" -Damqp-client.version="$version" \
            dependency:copy-dependencies -DoutputDirectory="$client/lib"
    fi
    rm -rf "$client/classes"
    javac -Xlint:all -d "$client/classes" -cp "$client/lib/*" "$here"/*.java
    exit
fi
echo "amqp-client $version"
exec java -XX:TieredStopAtLevel=1 -cp "$client/classes:$client/lib/*" Main "$@"
