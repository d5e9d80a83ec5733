#!/usr/bin/env bash
# Runs every test with the race detector, and the end-to-end tests a second time
# with their states in PostgreSQL, and prints one closing line over both.
# A skipped test is a failure: it did not show what it stands for.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

run() { # NAME ARGUMENT…: go test with these arguments
  local name=$1
  shift
  go tool -modfile=tools/go.mod gotestsum --format pkgname --jsonfile "$work/$name" -- -race -timeout 25m "$@" || status=$?
}

# Left out of the second pass, by whole names, and why:
elsewhere=(
  # They are about the embedded engine: its directory, lock and disk.
  TestFullDisk TestSecondCaddyOnTheSameStateIsToldWhatToDo TestOneWordGuardsASite
  # Scripts against state directories. TestDatabaseScripts, in both passes, is the
  # same for a database.
  TestScripts
  # They open no state: the adapter, the manual, how Caddy is built, the text of the
  # proxies' files, fuzz seeds, and mutants, which run the unit tests of other rooms.
  TestAdapt TestAdaptKnowsEveryOption TestAdaptedIsWhatYAMLSays
  TestManualShowsEveryPage TestXcaddyFileAgreesWithGoMod TestMakeCaddyRunsTheExample
  TestFilesAreGoodForEveryConfiguration TestFilesRefuseWhatIsNoName TestFilesAreTheFiles TestTraefikLabelsAreTheFile
  FuzzConfig FuzzS13AppJSON FuzzS13Caddyfile FuzzS13Configuration FuzzS13HandlerJSON FuzzX9WholeGateway
  TestM4EveryInvertedConditionIsNoticed
  # How pages look, with a browser of minutes, does not depend on where sessions lie.
  TestEveryPageIsAccessibleInChromium TestEveryPageOfTheAPIInChromium TestOwnNameAndLogoInChromium
  TestEveryPageOfSentCodesInChromium TestEveryPageOfSelfServiceInChromium TestAccountPagesInChromium TestPasskeyPagesInChromium
  TestPasskeysInChromium TestPasskeySignsForForeignPageInChromium TestCopiedPasskeyInChromium
)

run badger ./...
SALLYPORT_TEST_STORAGE=postgres run postgres -skip "^($(IFS='|'; echo "${elsewhere[*]}"))\$" ./internal/gateway ./standalone ./caddymodule ./deploy

count() { cat "$work"/* | grep -c "\"Action\":\"$1\".*\"Test\":" || true; }
passed=$(count pass) failed=$(count fail) skipped=$(count skip)
if [ "$skipped" -gt 0 ]; then
  echo "skipped tests are failures:"
  cat "$work"/* | grep '"Action":"skip".*"Test":' | sed 's/.*"Package":"\([^"]*\)","Test":"\([^"]*\)".*/  \1 \2/'
  status=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
for pass in badger postgres; do
  grep -q '"Action":"pass".*"Test":' "$work/$pass" || { echo "no test ran on $pass"; status=1; }
done
exit "$status"
