//! docs/operations.md: its commands are run as they stand, its names must exist.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::programs::program;
use crate::sources::{production, root};

fn document() -> String {
    fs::read_to_string(root().join("docs/operations.md")).unwrap()
}

/// The blocks of a language, in order.
fn blocks(language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    let all = document();
    all.split(&start).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// What only a whole machine has, so that the commands around it can be run. The server is the shipped one.
const MACHINE: [(&str, &str); 7] = [
    (
        "systemctl",
        r#"
for word in "$@"; do
    case $word in
        -*) ;;
        enable|start) verb=start ;;
        disable|stop) verb=stop ;;
        restart|reload|status|daemon-reload) verb=$word ;;
        nginx) exit 0 ;;
    esac
done
pid=$ROOT/run/pid
stop() {
    [ -e "$pid" ] || return 0
    kill -TERM "$(cat "$pid")"
    for _ in $(seq 600); do kill -0 "$(cat "$pid")" 2>/dev/null || { rm "$pid"; return 0; }; sleep 0.1; done
    echo "the server does not end" >&2; exit 1
}
start() {
    command=$(sed -n 's/^ExecStart=//p' "$ROOT/usr/lib/systemd/system/hubbub-aggregator.service")
    : > "$ROOT/run/out"
    $command > "$ROOT/run/out" 2>> "$ROOT/run/journal" < /dev/null &
    echo $! > "$pid"
    for _ in $(seq 600); do grep -q 'listening on' "$ROOT/run/out" && return 0; sleep 0.1; done
    cat "$ROOT/run/journal" >&2; exit 1
}
case $verb in
    start) start ;;
    stop) stop ;;
    restart) stop; start ;;
    reload) kill -HUP "$(cat "$pid")" ;;
    status) kill -0 "$(cat "$pid")" ;;
    daemon-reload) [ -e "$ROOT/usr/lib/systemd/system/hubbub-aggregator.service" ] ;;
esac
"#,
    ),
    ("journalctl", "cat \"$ROOT/run/journal\"\n"),
    ("systemd-sysusers", "[ -e \"$ROOT/usr/lib/sysusers.d/hubbub-aggregator.conf\" ]\n"),
    ("nginx", "[ -e \"$ROOT/etc/nginx/nginx.conf\" ]\n"),
    ("runuser", "[ \"$1 $2 $3\" = '-u hubbub-aggregator --' ] && shift 3 && exec \"$@\"\n"),
    // The service's user does not exist here.
    (
        "install",
        "for word; do shift; case $word in --owner=*) ;; *) set -- \"$@\" \"$word\" ;; esac; done\nexec /usr/bin/install \"$@\"\n",
    ),
    ("devices", DEVICES),
];

/// Between the commands, devices go about their business: sixty-four reports, at the same time.
const DEVICES: &str = r#"
yes true | head -n 64 | "$HUBBUB" randomize --registry metrics --metric hardware.touchscreen > "$ROOT/run/reports"
while read -r report; do
    curl --silent --header 'Content-Type: application/json' --data "$report" "http://127.0.0.1:8080/v1/reports" >> "$ROOT/run/answers" &
done < "$ROOT/run/reports"
wait
"#;

/// The directories that the document names, which lie below a temporary one here.
const PLACES: [&str; 9] = [
    "/usr/bin/hubbub-aggregator",
    "/usr/lib/",
    "/usr/share/hubbub",
    "/etc/hubbub",
    "/etc/nginx/",
    "/etc/letsencrypt/",
    "/etc/systemd/",
    "/var/",
    "/srv/",
];

#[test]
fn the_commands_run_as_they_stand() {
    let place = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let here = |text: &str| {
        let moved = PLACES.iter().fold(text.to_owned(), |text, path| {
            // Only where a word begins: paths may contain one another.
            [" ", "=", "\"", "\n"].iter().fold(text, |text, before| {
                text.replace(&format!("{before}{path}"), &format!("{before}{}{path}", place.path().display()))
            })
        });
        moved.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"))
    };
    // A checkout whose files name the places below the temporary directory.
    let checkout = place.path().join("checkout");
    fs::create_dir_all(checkout.join("packaging")).unwrap();
    for entry in fs::read_dir(root().join("packaging")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(checkout.join("packaging").join(path.file_name().unwrap()), here(&text)).unwrap();
    }
    symlink(root().join("metrics"), checkout.join("metrics")).unwrap();
    fs::create_dir_all(checkout.join("target/release")).unwrap();
    symlink(program("hubbub-aggregator"), checkout.join("target/release/hubbub-aggregator")).unwrap();

    let bin = place.path().join("bin");
    for directory in [
        "bin",
        "run",
        "etc/nginx",
        "etc/letsencrypt/live/metrics.example.org",
        "var/lib/hubbub-aggregator",
        "var/backups",
    ] {
        fs::create_dir_all(place.path().join(directory)).unwrap();
    }
    for name in ["fullchain.pem", "privkey.pem"] {
        fs::write(place.path().join("etc/letsencrypt/live/metrics.example.org").join(name), "PEM").unwrap();
    }
    for (name, script) in MACHINE {
        write_program(&bin.join(name), &here(script));
    }
    symlink(place.path().join("usr/bin/hubbub-aggregator"), bin.join("hubbub-aggregator")).unwrap();

    let script: String = blocks("sh").iter().map(|block| format!("\n{block}")).collect();
    let script =
        script.replacen("systemctl status hubbub-aggregator\n", "systemctl status hubbub-aggregator\ndevices\n", 1);
    let commands = script.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(commands > 30, "{commands} commands found");
    // A script that stops half way must not leave a server behind.
    let script = format!("set -eux\ntrap 'systemctl stop hubbub-aggregator' EXIT\n{}", here(&script));
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("ROOT", place.path())
        .env("HUBBUB", program("hubbub"))
        .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
        .current_dir(&checkout)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let journal = fs::read_to_string(place.path().join("run/journal")).unwrap();
    assert!(output.status.success(), "{said}\n{journal}");
    for part in ["ok\n", "ready\n", "\"openapi\": \"3.1.0\"", "\"code\":\"retired\""] {
        assert!(said.contains(part), "`{part}` was not said:\n{said}");
    }
    // Of the server, of its backup, and of the restored store.
    assert_eq!(said.matches("whole: 1 series with 64 reports, 64 ids").count(), 3, "{said}");
    assert!(journal.contains("there is no certificate to read again"), "the reload did not arrive: {journal}");
    assert!(!place.path().join("var/lib/hubbub-aggregator").exists(), "everything was removed");
    assert!(place.path().join("srv/hubbub/counters/metric=hardware.touchscreen").exists());
}

fn write_program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\nset -eu\n{script}")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Everything between backticks.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_answer_figure_and_key_is_explained() {
    let document = document();
    let names = quoted(&document);
    let file = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let codes = file("aggregator/src/answer.rs");
    let codes: Vec<&str> = codes
        .lines()
        .filter(|line| line.contains("=> (StatusCode::"))
        .map(|line| line.split('"').nth(1).unwrap())
        .collect();
    assert!(codes.len() > 15, "{codes:?}");
    let config = file("aggregator/src/config.rs");
    let config = config.split("pub struct Config {").nth(1).unwrap().split("\n}").next().unwrap().to_owned();
    let keys: Vec<&str> =
        config.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next()).collect();
    assert!(keys.contains(&"listen") && keys.contains(&"retired"), "{keys:?}");
    let published = file("aggregator/src/published.rs");
    let figures: Vec<String> = published
        .split("registry.register(")
        .skip(1)
        .map(|rest| {
            let name = rest.split('"').nth(1).unwrap();
            let gauge = ["pending", "ids"]
                .iter()
                .any(|gauge| rest.split(';').next().unwrap().contains(&format!("{gauge}.clone()")));
            if gauge { format!("hubbub_{name}") } else { format!("hubbub_{name}_total") }
        })
        .collect();
    assert!(figures.len() >= 6, "{figures:?}");
    for name in codes.into_iter().chain(keys).chain(figures.iter().map(String::as_str)) {
        assert!(names.contains(name), "docs/operations.md does not explain `{name}`");
    }
    // And the other way round: what alerts ask for is there, and every figure has an alert.
    let alerts = blocks("yaml").concat();
    let asked: BTreeSet<&str> = alerts
        .split(|c: char| !(c.is_ascii_lowercase() || c == '_'))
        .filter(|word| word.starts_with("hubbub_"))
        .collect();
    assert!(asked.into_iter().eq(figures.iter().map(String::as_str).collect::<BTreeSet<_>>()), "{figures:?}");
}

#[test]
fn every_message_of_the_table_is_one_of_the_programs() {
    // A message is one string, wherever the source breaks its line; some belong to the libraries that parse.
    let mut sources: String = production()
        .into_iter()
        .filter(|source| !source.path.starts_with("hubbub/"))
        .map(|source| source.text)
        .collect();
    while let Some(at) = sources.find("\\\n") {
        let end = at + 2 + sources[at + 2..].find(|c: char| c != ' ').unwrap();
        sources.replace_range(at..end, "");
    }
    let known = [sources.as_str(), "unknown field"].concat();
    let document = document();
    let table = document.split("\n## Messages\n").nth(1).unwrap();
    let mut rows = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let message = row[2..].split(" | ").next().unwrap().trim().trim_matches('`');
        for part in message.split('…') {
            assert!(
                known.contains(part.trim_matches(|c| c == ',' || c == ':')),
                "no message has `{part}` of `{message}`"
            );
        }
        rows += 1;
    }
    assert!(rows > 25, "{rows} messages");
}
