//! Who asks: Basic auth, tags, and what follows from them. Answers and words are RabbitMQ's.
//!
//! | tag | sees | changes |
//! |---|---|---|
//! | `management` | virtual hosts where the user has permissions, own connections and channels | what those permissions allow |
//! | `policymaker` | the same | the same |
//! | `monitoring` | everything but users and their permissions | as `management` |
//! | `administrator` | everything | everything |

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::connect_info::ConnectInfo;
use axum::extract::{FromRequestParts, Path};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine as _;

use super::answer::Refusal;
use super::shared::Shared;
use crate::access::Access;
use crate::auth::Permissions;
use crate::broker::Broker;
use crate::connection::Failure;
use crate::observe::LoginProtocol;
use crate::store::metadata::UserRecord;
use crate::vhost::VirtualHost;

const ADMINISTRATOR: &str = "administrator";
const MONITORING: &str = "monitoring";
const POLICYMAKER: &str = "policymaker";
const MANAGEMENT: &str = "management";

/// A user who has logged in and may use the API.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) shared: Shared,
    pub(super) broker: Arc<Broker>,
    pub(super) user: Arc<UserRecord>,
}

impl FromRequestParts<Shared> for Session {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Session, Refusal> {
        let broker = Arc::clone(shared.broker()?);
        let (name, password) = credentials(parts).ok_or_else(Refusal::not_authenticated)?;
        let ConnectInfo(peer) = *parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .ok_or_else(Refusal::not_authenticated)?;
        let response = format!("\0{name}\0{password}");
        let account = broker
            .log_in(LoginProtocol::Http, "PLAIN", response.as_bytes(), &peer.into())
            .await
            .map_err(|_| Refusal::not_authenticated())?;
        let session = Session {
            shared: Arc::clone(shared),
            broker,
            user: account.record,
        };
        let tags = [ADMINISTRATOR, MONITORING, POLICYMAKER, MANAGEMENT];
        if !session.has_any(&tags) {
            return Err(Refusal::not_authorised("Not management user"));
        }
        Ok(session)
    }
}

/// Name and password of the `Authorization` header.
fn credentials(parts: &Parts) -> Option<(String, String)> {
    let header = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(encoded.trim())
        .ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (name, password) = text.split_once(':')?;
    // A NUL would end the name inside of the SASL response.
    (!text.contains('\0')).then(|| (name.to_owned(), password.to_owned()))
}

impl Session {
    fn has_any(&self, tags: &[&str]) -> bool {
        self.user.tags.iter().any(|tag| tags.contains(&tag.as_str()))
    }

    pub(super) fn is_administrator(&self) -> bool {
        self.has_any(&[ADMINISTRATOR])
    }

    pub(super) fn is_monitor(&self) -> bool {
        self.has_any(&[ADMINISTRATOR, MONITORING])
    }

    pub(super) fn administrator(&self) -> Result<(), Refusal> {
        match self.is_administrator() {
            true => Ok(()),
            false => Err(Refusal::not_authorised("Not administrator user")),
        }
    }

    pub(super) fn monitor(&self) -> Result<(), Refusal> {
        match self.is_monitor() {
            true => Ok(()),
            false => Err(Refusal::not_authorised("Not monitor user")),
        }
    }

    /// What the user may do in a virtual host.
    pub(super) fn permissions(&self, vhost: &str) -> Arc<Permissions> {
        self.broker.users.permissions(vhost, &self.user.name)
    }

    fn may_see(&self, vhost: &VirtualHost) -> bool {
        self.is_monitor() || self.permissions(vhost.name()).may_enter()
    }

    /// A virtual host to look at.
    pub(super) fn visible(&self, vhost: &str) -> Result<Arc<VirtualHost>, Refusal> {
        self.entered(vhost, self.is_monitor())
    }

    /// A virtual host to work in.
    pub(super) fn vhost(&self, vhost: &str) -> Result<Arc<VirtualHost>, Refusal> {
        self.entered(vhost, self.is_administrator())
    }

    fn entered(&self, vhost: &str, without_permissions: bool) -> Result<Arc<VirtualHost>, Refusal> {
        let found = self.broker.vhost(vhost).ok_or_else(Refusal::not_found)?;
        if without_permissions || self.permissions(vhost).may_enter() {
            return Ok(found);
        }
        Err(Refusal::not_authorised(
            "User not authorised to access virtual host",
        ))
    }

    /// The virtual hosts that the user sees, by name.
    pub(super) fn visible_vhosts(&self) -> Vec<Arc<VirtualHost>> {
        let mut vhosts = self.broker.vhosts();
        vhosts.retain(|vhost| self.may_see(vhost));
        vhosts
    }

    /// Those that a path is about: the one that it names, or all that the user sees.
    pub(super) fn vhosts_of(&self, vhost: Option<Path<String>>) -> Result<Vec<Arc<VirtualHost>>, Refusal> {
        match vhost {
            Some(Path(name)) => Ok(vec![self.visible(&name)?]),
            None => Ok(self.visible_vhosts()),
        }
    }

    /// Refuses what the user's permissions in a virtual host do not allow.
    pub(super) fn check(
        &self,
        vhost: &VirtualHost,
        check: impl FnOnce(&Access<'_>) -> Result<(), Failure>,
    ) -> Result<(), Refusal> {
        let permissions = self.permissions(vhost.name());
        let access = Access {
            vhost,
            user: &self.user.name,
            permissions: &permissions,
        };
        Ok(check(&access)?)
    }
}
