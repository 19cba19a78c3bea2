//! Documents that would rot: commands and names in them must exist.

use std::fs;
use std::process::Command;

use crate::programs::{hubbub, program, run, stdout_of, text};
use crate::sources::{CRATES, root};

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_readme_gives_the_two_commands_and_ci_calls_the_second() {
    let readme = read("README.md");
    let makefile = read("Makefile");
    for target in ["demo", "test"] {
        assert!(readme.contains(&format!("make {target}")), "README.md does not name `make {target}`");
        assert!(makefile.contains(&format!("\n{target}: ")), "the Makefile has no target {target}");
    }
    assert!(read(".ci/run").contains("make test"));
}

#[test]
fn every_command_of_the_help_is_in_the_readme() {
    let help = stdout_of(&hubbub(&["--help"], b""));
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<&str> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"randomize") && names.contains(&"demo"), "{names:?}");
    let readme = read("README.md");
    for name in names.into_iter().filter(|name| *name != "help") {
        assert!(readme.contains(&format!("hubbub {name}")), "README.md does not mention `hubbub {name}`");
    }
}

/// What a reader would type first; the others read their own files or take minutes.
#[test]
fn the_readmes_questions_and_audits_run_as_they_stand() {
    let place = tempfile::tempdir().unwrap();
    let certificates = place.path().join("certificates");
    let readme = read("README.md");
    let asked = ["hubbub plan --kind", "hubbub registry explain", "hubbub registry check", "hubbub audit"];
    let lines = readme.lines().filter(|line| asked.iter().any(|asked| line.starts_with(asked)));
    let mut ran = 0;
    for line in lines.filter(|line| !line.ends_with('\\')) {
        let command = line.split('#').next().unwrap();
        let arguments: Vec<&str> = command
            .split_whitespace()
            .skip(1)
            .map(|word| if word == "certificates" { text(&certificates) } else { word })
            .collect();
        stdout_of(&run(Command::new(program("hubbub")).args(&arguments).current_dir(root()), b""));
        ran += 1;
    }
    assert!(ran >= 5, "{ran} commands found");
}

#[test]
fn every_exit_code_in_the_help_is_the_documented_one() {
    let unwrapped = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (help, readme) = (unwrapped(stdout_of(&hubbub(&["--help"], b""))), unwrapped(read("README.md")));
    for code in
        ["0 done", "1 a check failed", "2 bad input or usage", "3 input/output", "4 something needed is unavailable"]
    {
        assert!(help.contains(code) && readme.contains(code), "{code}");
    }
}

#[test]
fn the_map_in_the_architecture_is_the_tree() {
    let architecture = read("ARCHITECTURE.md");
    for folder in CRATES.iter().chain(&["metrics", "notebooks", "packaging"]) {
        assert!(architecture.contains(&format!("`{folder}/`")), "ARCHITECTURE.md does not map {folder}/");
        assert!(root().join(folder).is_dir(), "{folder}/ does not exist");
    }
}

#[test]
fn notebooks_are_committed_without_outputs() {
    let mut notebooks = 0;
    for entry in fs::read_dir(root().join("notebooks")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ipynb") {
            let notebook: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            for cell in notebook["cells"].as_array().unwrap() {
                let outputs = cell.get("outputs").and_then(|outputs| outputs.as_array()).map_or(0, Vec::len);
                assert_eq!(outputs, 0, "{} has outputs; clear them", path.display());
            }
            notebooks += 1;
        }
    }
    assert!(notebooks > 0);
}
