//! The one provider of TLS, installed when something first speaks it.

/// Installs it, if that was not done before.
pub(crate) fn provide() {
    // Refused if there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
