//! The flags about TLS.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::tls::{LoginFrom, MinimumVersion, NamedCertificate, SanType, TlsSettings, Verify};

/// What TLS listeners go by. All files are read again on SIGHUP, for connections that come after it.
#[derive(Debug, Args)]
pub(super) struct TlsFlags {
    /// Certificates (PEM) of those who may sign clients' certificates.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_cacertfile: Option<PathBuf>,

    /// Certificate (PEM) of this broker, followed by the chain that signed it.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_certfile: Option<PathBuf>,

    /// Private key (PEM) of the certificate: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_keyfile: Option<PathBuf>,

    /// Another certificate and key for clients that ask for this name, which may begin with "*."; repeat it for several. All
    /// others get --tls-certfile.
    #[arg(long, value_name = "NAME=CERTFILE,KEYFILE", help_heading = "TLS")]
    tls_sni: Vec<NamedCertificate>,

    /// Whether clients are asked for a certificate, which is then verified: none or peer.
    #[arg(long, value_name = "none|peer", default_value_t, help_heading = "TLS")]
    tls_verify: Verify,

    /// Whether clients without a certificate are refused; needs --tls-verify peer.
    #[arg(long, value_name = "true|false", default_value_t = false, action = ArgAction::Set, num_args = 0..=1,
          default_missing_value = "true", require_equals = true, help_heading = "TLS")]
    tls_fail_if_no_peer_cert: bool,

    /// Oldest version of TLS that is spoken: 1.2 or 1.3.
    #[arg(long, value_name = "1.2|1.3", default_value_t, help_heading = "TLS")]
    tls_version_min: MinimumVersion,

    /// Where a client's certificate names the user for the mechanism EXTERNAL: distinguished_name, common_name or
    /// subject_alternative_name.
    #[arg(long, value_name = "PLACE", default_value_t, help_heading = "TLS")]
    tls_login_from: LoginFrom,

    /// Type of the subject alternative name that does: dns, ip, email or uri.
    #[arg(long, value_name = "TYPE", default_value_t, help_heading = "TLS")]
    tls_login_san_type: SanType,

    /// Which of several of that type, counted from 0.
    #[arg(long, value_name = "INDEX", default_value_t = 0, help_heading = "TLS")]
    tls_login_san_index: u32,
}

impl TlsFlags {
    pub(super) fn settings(self) -> TlsSettings {
        TlsSettings {
            cacertfile: self.tls_cacertfile,
            certfile: self.tls_certfile,
            keyfile: self.tls_keyfile,
            server_names: self.tls_sni,
            verify: self.tls_verify,
            fail_if_no_peer_cert: self.tls_fail_if_no_peer_cert,
            version_min: self.tls_version_min,
            login_from: self.tls_login_from,
            login_san_type: self.tls_login_san_type,
            login_san_index: self.tls_login_san_index,
        }
    }
}
