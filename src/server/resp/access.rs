//! [`Access`]: who may connect, and what each may do.

use crate::config::{Config, UserConfig};
use base64::Engine as _;
use std::sync::Arc;

/// The user that commands without a name mean.
pub(crate) const DEFAULT_USER: &str = "default";

/// Somebody who may connect.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    password: Option<String>,
    /// The keyspaces that are open to this user; all if there is no list.
    keyspaces: Option<Vec<String>>,
    pub(crate) read_only: bool,
}

impl User {
    /// Whether this user may look into a keyspace.
    pub(crate) fn may_use(&self, keyspace: &str) -> bool {
        self.keyspaces.as_ref().is_none_or(|list| list.iter().any(|name| name == keyspace))
    }

    /// Whether this user may do everything.
    pub(crate) fn is_unrestricted(&self) -> bool {
        !self.read_only && self.keyspaces.is_none()
    }
}

/// Who may connect.
#[derive(Debug)]
pub(crate) struct Access {
    users: Vec<Arc<User>>,
    /// What a connection is before it says who it is, if everybody may come in.
    stranger: Option<Arc<User>>,
}

impl Access {
    /// As configured. Without a password and without users everybody may do everything. With users and no password only those users
    /// may come in.
    pub(crate) fn new(config: &Config) -> Access {
        let mut users: Vec<Arc<User>> = config.users.iter().map(|user| Arc::new(named(user))).collect();
        let has_default = config.users.iter().any(|user| user.name == DEFAULT_USER);
        let mut stranger = None;
        if !has_default && (users.is_empty() || config.password.is_some()) {
            let user = Arc::new(User {
                name: DEFAULT_USER.to_owned(),
                password: config.password.clone(),
                keyspaces: None,
                read_only: false,
            });
            stranger = config.password.is_none().then(|| user.clone());
            users.push(user);
        }
        Access { users, stranger }
    }

    /// What a connection is before it says who it is.
    pub(crate) fn stranger(&self) -> Option<&Arc<User>> {
        self.stranger.as_ref()
    }

    /// Whether `AUTH` with a password alone has any meaning here.
    pub(crate) fn has_default_password(&self) -> bool {
        self.users.iter().any(|user| user.name == DEFAULT_USER && user.password.is_some())
    }

    /// The user of this name, if the password is right. A user without a password takes any, as in Redis.
    pub(crate) fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<&Arc<User>> {
        let user = self.users.iter().find(|user| user.name.as_bytes() == name);
        // The comparison is made for names that do not exist too, so that time does not tell which do.
        let wanted = user.and_then(|user| user.password.as_deref()).unwrap_or_default();
        let same = equal_in_constant_time(password, wanted.as_bytes());
        user.filter(|user| same || user.password.is_none())
    }
}

fn named(user: &UserConfig) -> User {
    User {
        name: user.name.clone(),
        password: Some(user.password.clone()),
        keyspaces: user.keyspaces.clone(),
        read_only: user.read_only,
    }
}

/// Why somebody may not do what needs every right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAllowed {
    /// Nobody is known who says so.
    Stranger,
    /// This user has not every right.
    Restricted,
}

/// Whether the header `authorization: Basic …` is that of somebody who may do everything. Without passwords everybody may.
pub(crate) fn check_basic(access: &Access, header: Option<&str>) -> Result<(), NotAllowed> {
    if access.stranger().is_some() {
        return Ok(());
    }
    let user = header.and_then(|header| user_of(access, header)).ok_or(NotAllowed::Stranger)?;
    if !user.is_unrestricted() {
        return Err(NotAllowed::Restricted);
    }
    Ok(())
}

fn user_of<'a>(access: &'a Access, header: &str) -> Option<&'a Arc<User>> {
    let encoded = header.strip_prefix("Basic ")?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let at = decoded.iter().position(|byte| *byte == b':')?;
    let (name, password) = (decoded.get(..at)?, decoded.get(at + 1..)?);
    access.authenticate(name, password)
}

/// Whether a call over gRPC comes from somebody who may do everything. Others have no business there: what is open to each is told
/// by keyspace and command, which calls do not have.
pub(crate) fn check_metadata(
    access: &Access,
    metadata: &tonic::metadata::MetadataMap,
) -> Result<(), tonic::Status> {
    let header = metadata.get("authorization").and_then(|value| value.to_str().ok());
    check_basic(access, header).map_err(|refused| match refused {
        NotAllowed::Stranger => tonic::Status::unauthenticated(
            "give a user and a password in the header `authorization: Basic …`",
        ),
        NotAllowed::Restricted => {
            tonic::Status::permission_denied("this user may not do everything; it is served by RESP alone")
        }
    })
}

/// Whether two secrets are equal, in a time that depends on the given one's length alone.
fn equal_in_constant_time(given: &[u8], wanted: &[u8]) -> bool {
    let mut difference = given.len() ^ wanted.len();
    for (at, byte) in given.iter().enumerate() {
        let other = wanted.get(at % wanted.len().max(1)).copied().unwrap_or_default();
        difference |= usize::from(byte ^ other);
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_compared_whole() {
        for (a, b) in [("", "a"), ("a", ""), ("aa", "a"), ("a", "aa"), ("abc", "abd"), ("xbc", "abc")] {
            assert!(!equal_in_constant_time(a.as_bytes(), b.as_bytes()), "{a} {b}");
        }
        assert!(equal_in_constant_time(b"secret", b"secret"));
        assert!(equal_in_constant_time(b"", b""));
    }

    #[test]
    fn who_may_come_in() {
        let open = Access::new(&Config::default());
        assert_eq!(open.stranger().map(|u| u.name.as_str()), Some("default"));
        assert!(open.authenticate(b"default", b"anything").is_some());

        let guarded = Access::new(&Config { password: Some("p".to_owned()), ..Config::default() });
        assert!(guarded.stranger().is_none());
        assert!(guarded.authenticate(b"default", b"q").is_none());
        assert!(guarded.authenticate(b"default", b"p").is_some());

        let reader = UserConfig {
            name: "reader".to_owned(),
            password: "r".to_owned(),
            keyspaces: Some(vec!["a".to_owned()]),
            read_only: true,
        };
        let named = Access::new(&Config { users: vec![reader], ..Config::default() });
        assert!(named.stranger().is_none() && !named.has_default_password());
        assert!(named.authenticate(b"default", b"").is_none());
        assert!(named.authenticate(b"reader", b"").is_none());
        let reader = named.authenticate(b"reader", b"r").unwrap();
        assert!(reader.read_only && reader.may_use("a") && !reader.may_use("b"));
    }
}
