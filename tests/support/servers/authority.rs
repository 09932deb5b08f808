//! A certificate authority for one test, and what it signs.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

/// A certificate authority with a key of its own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Certificate {
    pub chain: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, key()).expect("a certificate"))
    }

    /// Its own certificate, as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Signs a certificate for these host names and addresses.
    pub fn sign(&self, name: &str, hosts: &[&str]) -> Certificate {
        self.sign_params(&params(name, hosts))
    }

    /// The same, but expired.
    pub fn sign_expired(&self, name: &str, hosts: &[&str]) -> Certificate {
        self.sign_params(&expired(params(name, hosts)))
    }

    fn sign_params(&self, params: &CertificateParams) -> Certificate {
        let key = key();
        let signed = params.signed_by(&key, &self.0).expect("a certificate");
        Certificate { chain: signed.pem(), key: key.serialize_pem() }
    }
}

impl Certificate {
    /// Signs itself. `openssl req -x509` marks such a certificate as an authority; other
    /// tools do not.
    pub fn self_signed(hosts: &[&str], is_authority: bool) -> Certificate {
        Certificate::sign_itself(params("self-signed", hosts), is_authority)
    }

    /// The same, but expired.
    pub fn self_signed_expired(hosts: &[&str], is_authority: bool) -> Certificate {
        Certificate::sign_itself(expired(params("self-signed", hosts)), is_authority)
    }

    fn sign_itself(mut params: CertificateParams, is_authority: bool) -> Certificate {
        if is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = key();
        let signed = params.self_signed(&key).expect("a certificate");
        Certificate { chain: signed.pem(), key: key.serialize_pem() }
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn params(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("host names");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
    params
}
