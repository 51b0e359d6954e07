//! The reference of the configuration, `docs/configuration.md`, made from the table of options.

use crate::config::{Config, OPTIONS};

const HEAD: &str = "# Configuration\n\n\
    Options of `esker serve`. Each can be given as a key in a TOML file (`--config F`), as an environment variable, and as a\n\
    flag (`--listen-resp 127.0.0.1:6379`); flags win over the environment, the environment over the file, the file over the\n\
    default. What is wrong is said at the start, in a sentence, with exit status 2.\n\n\
    Sizes are numbers of bytes or like `64MiB`; times are like `500ms`, `5s`, `2m`; lists are TOML arrays in the file and\n\
    separated by commas elsewhere.\n\n\
    <!-- Made from the table in src/server/config/options.rs; a test holds them equal: `ESKER_WRITE_REFERENCE=1 cargo test -p\n\
    esker-server reference` writes this file. -->\n\n\
    | option | takes | default | what it is for | environment |\n\
    |---|---|---|---|---|\n";

const USERS: &str = "\n## Users\n\n\
    Users stand in the file alone, each as a table. `AUTH name password` and `HELLO 3 AUTH name password` make a connection\n\
    theirs. With users and without `password`, nobody else may connect.\n\n\
    | key | takes | what it is for |\n\
    |---|---|---|\n\
    | `name` | name | How the user is called. Required. |\n\
    | `password` | text | The user's password. Required. |\n\
    | `keyspaces` | list of names | The keyspaces that are open to the user. All, if it is not given. |\n\
    | `read-only` | true or false | Whether commands that write are refused. `false` if it is not given. |\n\n\
    ```toml\n\
    data = \"/var/lib/esker\"\n\
    listen-resp = \"0.0.0.0:6379\"\n\
    databases = [\"default\", \"sessions\"]\n\n\
    [[users]]\n\
    name = \"reports\"\n\
    password = \"a long secret\"\n\
    keyspaces = [\"sessions\"]\n\
    read-only = true\n\
    ```\n";

fn reference() -> String {
    let mut text = HEAD.to_owned();
    let defaults = Config::default();
    for option in OPTIONS {
        let default = match (option.name, (option.show)(&defaults)) {
            ("threads", _) => "one less than processors".to_owned(),
            ("memory-budget", _) => "a sixteenth of the memory, 256MiB to 1GiB".to_owned(),
            (_, shown) if shown.is_empty() => String::new(),
            (_, shown) => format!("`{shown}`"),
        };
        text += &format!(
            "| `{}` | {} | {default} | {} | `{}` |\n",
            option.name,
            option.kind,
            option.what,
            option.variable()
        );
    }
    text + USERS
}

#[test]
fn the_reference_says_what_the_code_does() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if std::env::var_os("ESKER_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == reference(),
        "docs/configuration.md is not what the table says; write it anew as it describes"
    );
}
