//! Certificates and keys as people keep them: PEM files, PEM in a value, PKCS#12.

use std::path::Path;

use p12_keystore::{KeyStore, Pkcs12Archive, Pkcs12ImportPolicy};
use pkcs8::EncryptedPrivateKeyInfo;
use pkcs8::SecretDocument;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::kafka::secret::Secret;

/// First bytes of Java's own store format.
const JKS: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
/// First byte of PKCS#12: an ASN.1 sequence.
const DER: u8 = 0x30;
const ENCRYPTED_KEY: &str = "ENCRYPTED PRIVATE KEY";

/// A private key and the certificates that lead from it to an authority.
#[derive(Debug)]
pub(super) struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// The certificates of a truststore.
pub(super) fn authorities(path: &Path, password: Option<&Secret>) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path)?;
    let certificates = if is_pkcs12(path, &bytes)? {
        let archive = Pkcs12Archive::from_pkcs12(&bytes, password.map_or("", Secret::reveal));
        let archive = archive.map_err(|error| pkcs12_problem(path, error, password))?;
        // Java marks what it trusts; openssl does not.
        let marked = archive.certs.iter().any(|bag| bag.trusted);
        let trusted = archive.certs.iter().filter(|bag| bag.trusted || !marked);
        trusted.map(|bag| CertificateDer::from(bag.cert.as_der().to_vec())).collect()
    } else {
        certificates_of(&String::from_utf8_lossy(&bytes)).map_err(|problem| of(path, problem))?
    };
    if certificates.is_empty() { Err(of(path, "it holds no certificate")) } else { Ok(certificates) }
}

/// The key and certificates of a keystore.
pub(super) fn identity(
    path: &Path,
    password: Option<&Secret>,
    key_password: Option<&Secret>,
) -> Result<Identity, String> {
    let bytes = read(path)?;
    if !is_pkcs12(path, &bytes)? {
        let text = String::from_utf8_lossy(&bytes);
        return identity_of(&text, &text, key_password).map_err(|problem| of(path, problem));
    }
    let store = KeyStore::from_pkcs12(&bytes, password.map_or("", Secret::reveal), Pkcs12ImportPolicy::Relaxed);
    let store = store.map_err(|error| pkcs12_problem(path, error, password))?;
    let (_, chain) = store.private_key_chain().ok_or_else(|| of(path, "it holds no private key"))?;
    let key = PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec());
    let chain = chain.certs().iter().map(|certificate| CertificateDer::from(certificate.as_der().to_vec()));
    Ok(Identity { chain: chain.collect(), key: key.into() })
}

/// The key and the certificates of two PEM texts, which may be one.
pub(super) fn identity_of(key: &str, chain: &str, password: Option<&Secret>) -> Result<Identity, String> {
    let chain = certificates_of(chain)?;
    if chain.is_empty() {
        return Err("it holds no certificate".into());
    }
    Ok(Identity { chain, key: private_key(key, password)? })
}

/// The certificates of a PEM text.
pub(super) fn certificates_of(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let blocks: String =
        blocks(pem).filter(|(label, _)| label.ends_with("CERTIFICATE")).map(|(_, block)| block).collect();
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(blocks.as_bytes()).collect();
    certificates.map_err(|error| format!("a certificate cannot be read: {error}"))
}

/// The contents of a file, with the file in the error.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| of(path, error))
}

fn private_key(pem: &str, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, String> {
    if pem.contains("Proc-Type: 4,ENCRYPTED") {
        return Err("the private key is encrypted in OpenSSL's old way; `openssl pkcs8 -topk8` converts it".into());
    }
    let found = blocks(pem).find(|(label, _)| label.ends_with("PRIVATE KEY"));
    let (label, block) = found.ok_or("it holds no private key")?;
    if label != ENCRYPTED_KEY {
        return PrivateKeyDer::from_pem_slice(block.as_bytes())
            .map_err(|error| format!("the private key cannot be read: {error}"));
    }
    let password = password.ok_or("the private key is encrypted: set ssl.key.password")?;
    let encrypted = SecretDocument::from_pem(&block);
    let (_, encrypted) = encrypted.map_err(|error| format!("the private key cannot be read: {error}"))?;
    let info = EncryptedPrivateKeyInfo::<&pkcs8::der::asn1::OctetStringRef>::try_from(encrypted.as_bytes());
    let info = info.map_err(|error| format!("the private key cannot be read: {error}"))?;
    let key = info.decrypt(password.reveal()).map_err(|_| "ssl.key.password does not open the private key")?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

/// The blocks of a PEM text with their labels, each written as the standard wants it: a value of a properties file may have lost its line
/// breaks.
fn blocks(pem: &str) -> impl Iterator<Item = (String, String)> {
    let mut rest = pem;
    std::iter::from_fn(move || {
        let (_, begun) = rest.split_once("-----BEGIN ")?;
        let (label, body) = begun.split_once("-----")?;
        let (body, behind) = body.split_once(&format!("-----END {label}-----"))?;
        rest = behind;
        let letters: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let lines = letters.chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
        Some((label.to_owned(), format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")))
    })
}

fn is_pkcs12(path: &Path, bytes: &[u8]) -> Result<bool, String> {
    if bytes.starts_with(&JKS) {
        let file = path.display();
        let command =
            format!("keytool -importkeystore -srckeystore {file} -destkeystore {file}.p12 -deststoretype pkcs12");
        return Err(of(path, format!("it is a JKS store, which only Java reads; convert it: {command}")));
    }
    Ok(bytes.first() == Some(&DER))
}

fn pkcs12_problem(path: &Path, error: p12_keystore::error::Error, password: Option<&Secret>) -> String {
    match (error, password) {
        (p12_keystore::error::Error::MacError(_), Some(_)) => of(path, "the password does not open it"),
        (p12_keystore::error::Error::MacError(_), None) => of(path, "it has a password, and none is set"),
        (error, _) => of(path, format!("it cannot be read as PKCS#12: {error}")),
    }
}

fn of(path: &Path, problem: impl std::fmt::Display) -> String {
    format!("{}: {problem}", path.display())
}
