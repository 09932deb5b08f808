//! TLS by rustls, with libpq's six modes.
//!
//! `disable`, `allow` and `prefer` decide whether TLS is used; `require` verifies nothing unless a
//! root certificate is named, then it is `verify-ca`; `verify-full` also wants the host's name in
//! the certificate. Roots come from `sslrootcert`, from ~/.postgresql/root.crt, or from the system.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::conninfo::{Conninfo, SslMode};
use super::error::PgError;
use super::libpq_files::{home, is_readable_by_others};

/// Makes the TLS connector of a mode. Files are read only if TLS may be used.
pub(super) fn connector(mode: SslMode, info: &Conninfo) -> Result<MakeRustlsConnect, PgError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = match mode {
        SslMode::Disable => Arc::new(UnverifiedChain(Arc::clone(&provider))),
        _ => verifier(mode, info, &provider)?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let certificate = match mode {
        SslMode::Disable => None,
        _ => client_certificate(info)?,
    };
    let config = match certificate {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            builder.with_client_auth_cert(chain, key).map_err(|error| failed(&error))?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn failed(error: &Error) -> PgError {
    PgError::invalid_setting(format!("TLS cannot be set up: {error}"))
}

fn verifier(
    mode: SslMode,
    info: &Conninfo,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, PgError> {
    let named = info.get("sslrootcert");
    let full = mode == SslMode::VerifyFull;
    let verifies =
        full || mode == SslMode::VerifyCa || (mode == SslMode::Require && named.is_some());
    if !verifies {
        return Ok(Arc::new(UnverifiedChain(Arc::clone(provider))));
    }
    let own = home().map(|home| home.join(".postgresql/root.crt")).filter(|file| file.exists());
    let chain: Arc<dyn ServerCertVerifier> = match (named.filter(|named| *named != "system"), own) {
        (Some(file), _) => from_file(Path::new(file), provider)?,
        (None, Some(file)) if named.is_none() => from_file(&file, provider)?,
        _ => Arc::new(
            rustls_platform_verifier::Verifier::new(Arc::clone(provider))
                .map_err(|error| failed(&error))?,
        ),
    };
    Ok(if full { chain } else { Arc::new(AnyName(chain)) })
}

fn from_file(
    file: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, PgError> {
    let bad = |why: String| bad_file("root certificate file", "sslrootcert", file, &why);
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
        .map_err(|_| bad("it holds no certificate".to_owned()))
}

/// Makes an error about a file that a connection string names. It has the path only if there is such a
/// file: then the path is not a part of a password.
fn bad_file(what: &str, keyword: &str, file: &Path, why: &str) -> PgError {
    PgError::invalid_setting(match file.exists() {
        true => format!("{what} {}: {why}", file.display()),
        false => format!("{what}: {why}; check what {keyword} names"),
    })
}

type ClientCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads the client's certificate, if one is named or is where libpq looks for it.
fn client_certificate(info: &Conninfo) -> Result<Option<ClientCertificate>, PgError> {
    let place = |keyword: &str, name: &str| {
        let named = info.get(keyword).map(PathBuf::from);
        named.or_else(|| {
            home().map(|home| home.join(".postgresql").join(name)).filter(|file| file.exists())
        })
    };
    let alone = |file: &Path, missing: &str| {
        let (why, keyword) = (format!("name {missing} too"), "sslcert or sslkey");
        Err(bad_file("client certificate", keyword, file, &why))
    };
    let (certificate, key) =
        match (place("sslcert", "postgresql.crt"), place("sslkey", "postgresql.key")) {
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(certificate), None) => return alone(&certificate, "sslkey"),
            (None, Some(key)) if info.get("sslkey").is_some() => return alone(&key, "sslcert"),
            (None, _) => return Ok(None),
        };
    let bad =
        |file: &Path, why: &str| bad_file("client certificate", "sslcert or sslkey", file, why);
    let metadata = std::fs::metadata(&key).map_err(|error| bad(&key, &error.to_string()))?;
    if is_readable_by_others(&metadata) {
        return Err(bad(&key, "others can read the key; run chmod 600 on it"));
    }
    let chain: Vec<_> = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect)
        .map_err(|error| bad(&certificate, &error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(&certificate, "it holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&key).map_err(|error| bad(&key, &error.to_string()))?;
    Ok(Some((chain, key)))
}

/// Verifies nothing but that the server holds the key of the certificate it shows.
#[derive(Debug)]
struct UnverifiedChain(Arc<CryptoProvider>);

impl ServerCertVerifier for UnverifiedChain {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies the chain of a certificate, not the name.
#[derive(Debug)]
struct AnyName(Arc<dyn ServerCertVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The chain is verified before the name.
        match self.0.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
