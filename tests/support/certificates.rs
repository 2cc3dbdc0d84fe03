//! Certificates for tests, made anew each time: an authority, and what it signs.

#![allow(dead_code)] // each test binary uses its part

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// A certificate authority.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, PEM.
pub struct Signed {
    pub certificate: String,
    pub key: String,
    pub der: Vec<u8>,
    pub key_der: Vec<u8>,
}

/// A day of validity on either side of now.
const DAY: Duration = Duration::from_secs(86_400);

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Authority { certificate, issuer: Issuer::new(params, key) }
    }
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }
    pub fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }
    /// A file with the authority's certificate.
    pub fn file(&self, folder: &Path) -> PathBuf {
        let path = folder.join(format!("ca-{}.pem", uuid::Uuid::new_v4().simple()));
        std::fs::write(&path, self.pem()).expect("written");
        path
    }
    /// A certificate for hosts, valid now.
    pub fn sign(&self, name: &str, hosts: &[&str]) -> Signed {
        let now = SystemTime::now();
        self.sign_for(name, hosts, now - DAY, now + DAY)
    }
    pub fn sign_for(&self, name: &str, hosts: &[&str], from: SystemTime, until: SystemTime) -> Signed {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names of hosts");
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (from.into(), until.into());
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let (der, key_der) = (certificate.der().to_vec(), key.serialize_der());
        Signed { certificate: certificate.pem(), key: key.serialize_pem(), der, key_der }
    }
}

/// A PEM text as the value of a property.
pub fn escaped(pem: &str) -> String {
    pem.trim().replace("\r\n", "\n").replace('\n', "\\n")
}
