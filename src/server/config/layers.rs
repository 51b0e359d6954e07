//! Where options come from: a file, the environment, flags. The later over the earlier.

use super::options::{Choice, OPTIONS, OptionInfo};
use super::{Config, ConfigError, UserConfig};
use std::fmt;
use std::path::Path;

/// Where a choice was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    File(String),
    Variable(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => write!(f, "from the file {path}"),
            Origin::Variable(name) => write!(f, "from the environment variable {name}"),
            Origin::Flag(name) => write!(f, "from the flag --{name}"),
        }
    }
}

/// The configuration that a file, the environment and flags make together.
///
/// # Errors
/// A sentence for the first thing that is wrong.
pub(crate) fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|e| {
            ConfigError(format!("cannot read the configuration {}: {e}; check the path", path.display()))
        })?;
        add_file(&mut config, &path.display().to_string(), &text)?;
    }
    for (name, text) in environment {
        match OPTIONS.iter().find(|option| option.variable() == name) {
            Some(option) => set(&mut config, option, &Choice::Text(text), &Origin::Variable(name))?,
            None => refuse_misspelt_variable(&name)?,
        }
    }
    for (name, text) in flags {
        let option = find(&name, &Origin::Flag(name.clone()))?;
        set(&mut config, option, &Choice::Text(text), &Origin::Flag(name))?;
    }
    config.check()?;
    Ok(config)
}

fn set(
    config: &mut Config,
    option: &OptionInfo,
    choice: &Choice,
    origin: &Origin,
) -> Result<(), ConfigError> {
    (option.set)(config, choice)
        .map_err(|bad| ConfigError(format!("the option `{}` {origin} is wrong: {bad}", option.name)))
}

fn find(name: &str, origin: &Origin) -> Result<&'static OptionInfo, ConfigError> {
    OPTIONS.iter().find(|option| option.name == name).ok_or_else(|| {
        let nearest = nearest(name, OPTIONS.iter().map(|option| option.name).chain(["users"]));
        ConfigError(format!("there is no option `{name}`, {origin}; did you mean `{nearest}`?"))
    })
}

fn add_file(config: &mut Config, path: &str, text: &str) -> Result<(), ConfigError> {
    let origin = Origin::File(path.to_owned());
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let line =
            e.span().map_or(1, |span| text.get(..span.start).map_or(1, |t| t.matches('\n').count() + 1));
        let what = e.message().lines().collect::<Vec<_>>().join(", ");
        ConfigError(format!("line {line} of the configuration {path} is not TOML: {what}"))
    })?;
    for (name, value) in &table {
        if name == "users" {
            config.users = users(value, &origin)?;
            continue;
        }
        let option = find(name, &origin)?;
        let choice = choice(value)
            .ok_or_else(|| ConfigError(format!("the option `{name}` {origin} takes a value, not a table")))?;
        set(config, option, &choice, &origin)?;
    }
    Ok(())
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    }
}

fn choice(value: &toml::Value) -> Option<Choice> {
    match value {
        toml::Value::Array(list) => list.iter().map(scalar).collect::<Option<_>>().map(Choice::List),
        other => scalar(other).map(Choice::Text),
    }
}

/// The keys of a table `[[users]]`.
const USER_KEYS: [&str; 4] = ["name", "password", "keyspaces", "read-only"];

fn users(value: &toml::Value, origin: &Origin) -> Result<Vec<UserConfig>, ConfigError> {
    let refuse = |what: &str| ConfigError(format!("`users` {origin} is wrong: {what}"));
    let list = value.as_array().ok_or_else(|| refuse("write a table `[[users]]` for each user"))?;
    list.iter()
        .map(|entry| {
            let user = entry.as_table().ok_or_else(|| refuse("write a table `[[users]]` for each user"))?;
            if let Some(unknown) = user.keys().find(|key| !USER_KEYS.contains(&key.as_str())) {
                let nearest = nearest(unknown, USER_KEYS.into_iter());
                return Err(refuse(&format!("a user has no `{unknown}`; did you mean `{nearest}`?")));
            }
            let text =
                |key: &str| user.get(key).and_then(toml::Value::as_str).filter(|text| !text.is_empty());
            let keyspaces = match user.get("keyspaces").map(choice) {
                None => None,
                Some(Some(Choice::List(list))) => Some(list),
                Some(_) => return Err(refuse("`keyspaces` is a list of names")),
            };
            let read_only = match user.get("read-only") {
                None => false,
                Some(value) => value.as_bool().ok_or_else(|| refuse("`read-only` is true or false"))?,
            };
            Ok(UserConfig {
                name: text("name").ok_or_else(|| refuse("each user needs a `name`"))?.to_owned(),
                password: text("password").ok_or_else(|| refuse("each user needs a `password`"))?.to_owned(),
                keyspaces,
                read_only,
            })
        })
        .collect()
}

/// The environment belongs to everybody, so that unknown names in it are left alone, but for those that are a slip away from an
/// option.
fn refuse_misspelt_variable(name: &str) -> Result<(), ConfigError> {
    if !name.starts_with("ESKER_") {
        return Ok(());
    }
    match OPTIONS.iter().map(OptionInfo::variable).find(|variable| distance(variable, name) <= 2) {
        Some(variable) => Err(ConfigError(format!(
            "there is no option for the environment variable {name}; did you mean {variable}?"
        ))),
        None => Ok(()),
    }
}

fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> &'a str {
    let name = name.to_lowercase().replace('_', "-");
    names.min_by_key(|other| distance(&name, other)).unwrap_or_default()
}

/// How many letters have to be changed, added or left out to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn with(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("esker.toml");
        std::fs::write(&path, file).unwrap();
        let own = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        let data = [("data".to_owned(), "d".to_owned())];
        let flags = own(flags).into_iter().chain(data);
        load(Some(&path), own(environment).into_iter(), flags).map_err(|e| e.to_string())
    }

    #[test]
    fn later_sources_win() {
        let file = "weight = 2\nmax-clients = 10\nlevel = 'one'\ndatabases = ['a', 'b']\nrequest-timeout = '250ms'\n";
        let environment =
            [("ESKER_WEIGHT", "3"), ("ESKER_MAX_CLIENTS", "20"), ("ESKER_SEED", "7"), ("PATH", "x")];
        let config = with(file, &environment, &[("weight", "4"), ("join", "h:1, h:2")]).unwrap();
        assert_eq!((config.weight, config.max_clients, config.replicas), (4, 20, 3));
        assert_eq!(config.databases, ["a", "b"]);
        assert_eq!(config.join, ["h:1", "h:2"]);
        assert_eq!(config.request_timeout, Duration::from_millis(250));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (file, environment, flags, words) in [
            ("wieght = 2", &[][..], &[][..], &["no option `wieght`", "esker.toml", "`weight`"][..]),
            ("", &[("ESKER_WEIGTH", "2")], &[], &["ESKER_WEIGTH", "did you mean ESKER_WEIGHT"]),
            ("weight = 0", &[], &[], &["`weight` from the file", "1 to 1000"]),
            ("", &[("ESKER_LISTEN_RESP", "6379")], &[], &["ESKER_LISTEN_RESP", "HOST:PORT"]),
            ("", &[], &[("durability", "maybe")], &["the flag --durability", "synced, buffered"]),
            ("weight = [", &[], &[], &["line 1", "not TOML"]),
            ("[weight]\na = 1", &[], &[], &["takes a value"]),
            ("weight = ['a']", &[], &[], &["one value is wanted"]),
            ("listen-http = '127.0.0.1:6379'", &[], &[], &["`listen-resp` and `listen-http`"]),
            ("databases = ['a', 'a']", &[], &[], &["twice"]),
            ("databases = []", &[], &[], &["empty"]),
            ("max-pair-bytes = '32MiB'", &[], &[], &["`max-request-bytes`", "raise"]),
            ("[[users]]\nname = 'a'", &[], &[], &["`password`"]),
            ("[[users]]\nname = 'a'\npasword = 'x'", &[], &[], &["`pasword`", "`password`"]),
            ("[[users]]\nname = 'a'\npassword = 'x'\nkeyspaces = ['z']", &[], &[], &["`z`", "databases"]),
            ("password = 'p'\n[[users]]\nname = 'default'\npassword = 'x'", &[], &[], &["one place"]),
        ] {
            let sentence = with(file, environment, flags).unwrap_err();
            for word in words {
                assert!(sentence.contains(word), "{file}: {sentence}");
            }
            assert!(!sentence.contains('\n'), "{sentence}");
        }
    }

    #[test]
    fn every_option_takes_what_it_shows() {
        let defaults = Config { data: "d".into(), ..Config::default() };
        for option in OPTIONS {
            let shown = (option.show)(&defaults);
            if shown.is_empty() {
                continue;
            }
            let mut config = Config::default();
            (option.set)(&mut config, &Choice::Text(shown.clone())).unwrap();
            assert_eq!((option.show)(&config), shown, "{}", option.name);
        }
    }
}
