//! SASL: who we are, said by one of the mechanisms that Kafka knows. PLAIN is RFC 4616, SCRAM is RFC 5802 and 7677, OAUTHBEARER is RFC
//! 7628; how their messages travel is KIP-43 and KIP-152, how long a session lasts is KIP-368.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::config::SASLConfig;
use rsasl::prelude::{Mechname, SASLClient, SessionError};
use rsasl::property::{AuthId, Password};
use rskafka::client::{Credentials as RskafkaCredentials, OauthBearerCredentials, SaslConfig};

use super::Protocol;
use super::token::Tokens;
use crate::kafka::secret::Secret;
use crate::kafka::settings::{Settings, parse_jaas};
use crate::kafka::wire::connection::Connection;
use crate::kafka::wire::rights::Resource;
use crate::kafka::wire::text::text;
use crate::kafka::{Code, KafkaError};

const HANDSHAKE_VERSION: i16 = 1;
const AUTHENTICATE_VERSION_MAX: i16 = 2;

/// How a client says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// User and password as they are.
    Plain,
    /// A proof of the password, by SHA-256.
    ScramSha256,
    /// A proof of the password, by SHA-512.
    ScramSha512,
    /// A token of an identity provider.
    OauthBearer,
}

/// Mechanisms that are named in the settings of others and not spoken here.
#[derive(Clone, Copy)]
enum Named {
    Spoken(Mechanism),
    Kerberos,
    AwsMskIam,
}

const NAMES: [(&str, Named); 6] = [
    ("PLAIN", Named::Spoken(Mechanism::Plain)),
    ("SCRAM-SHA-256", Named::Spoken(Mechanism::ScramSha256)),
    ("SCRAM-SHA-512", Named::Spoken(Mechanism::ScramSha512)),
    ("OAUTHBEARER", Named::Spoken(Mechanism::OauthBearer)),
    ("GSSAPI", Named::Kerberos),
    ("AWS_MSK_IAM", Named::AwsMskIam),
];

impl Mechanism {
    /// Its registered name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
            Mechanism::OauthBearer => "OAUTHBEARER",
        }
    }
}

/// Names and values that go with a token (KIP-342).
type Extensions = Vec<(String, String)>;

/// A mechanism with its credentials.
#[derive(Debug)]
pub(crate) struct Sasl {
    mechanism: Mechanism,
    credentials: Credentials,
    extensions: Extensions,
    protocol: Protocol,
}

#[derive(Debug)]
enum Credentials {
    Password { user: String, password: Secret },
    Token(Arc<Tokens>),
}

impl Sasl {
    pub(super) fn new(settings: &Settings, protocol: Protocol) -> Result<Sasl, Vec<String>> {
        let one = |problem: String| vec![problem];
        let mechanism = match settings.word("sasl.mechanism", &NAMES).map_err(one)? {
            Some(Named::Spoken(mechanism)) => mechanism,
            Some(Named::Kerberos) => {
                return Err(one(settings.problem("sasl.mechanism", "GSSAPI (Kerberos) is not spoken: ask for a listener with SCRAM-SHA-512, OAUTHBEARER or mutual TLS (security.protocol=SSL), which brokers serve beside it")));
            }
            Some(Named::AwsMskIam) => {
                return Err(one(settings.problem("sasl.mechanism", "AWS_MSK_IAM is not spoken: Amazon MSK serves SCRAM-SHA-512 on port 9096 (user and password in AWS Secrets Manager) and mutual TLS on port 9094 beside it")));
            }
            None => {
                let problem = format!(
                    "security.protocol={} needs one: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
                    protocol.name()
                );
                return Err(one(settings.problem("sasl.mechanism", problem)));
            }
        };
        let login = Login::read(settings, mechanism).map_err(one)?;
        let (credentials, extensions) = login.credentials(settings, mechanism)?;
        if mechanism == Mechanism::Plain && !protocol.has_tls() {
            tracing::warn!(
                "SASL PLAIN without TLS sends the password as it is: set security.protocol=SASL_SSL where the brokers have it"
            );
        }
        Ok(Sasl { mechanism, credentials, extensions, protocol })
    }

    /// Authenticates a connection that has just been opened. The answer is how long the session lasts, `None` for as long as the
    /// connection.
    pub(crate) async fn authenticate(&self, connection: &Connection) -> Result<Option<Duration>, KafkaError> {
        let name = self.mechanism.name();
        let hello = SaslHandshakeRequest::default().with_mechanism(text(name));
        let answer = connection.call(&hello, HANDSHAKE_VERSION).await?;
        match Code(answer.error_code) {
            Code::UNSUPPORTED_SASL_MECHANISM => {
                let offered: Vec<&str> = answer.mechanisms.iter().map(|mechanism| mechanism.as_str()).collect();
                let message =
                    format!("this listener does not speak {name}: set sasl.mechanism to one of {}", offered.join(", "));
                return Err(connection.insecure(message));
            }
            Code::ILLEGAL_SASL_STATE => {
                let plain = Protocol::of(self.protocol.has_tls(), false).name();
                return Err(
                    connection.insecure(format!("this listener asks for no SASL: set security.protocol={plain}"))
                );
            }
            code => connection.check::<SaslHandshakeRequest>(code.0, None, Resource::CLUSTER)?,
        }
        let mut session = Session::begin(self).await?;
        let mut received = None;
        loop {
            let Some(message) =
                session.next(received.as_deref()).map_err(|problem| self.refused(connection, &problem))?
            else {
                return Ok(session.lifetime);
            };
            let request = SaslAuthenticateRequest::default().with_auth_bytes(message.into());
            let answer = connection.call(&request, AUTHENTICATE_VERSION_MAX).await?;
            if answer.error_code != 0 {
                let said = answer.error_message.map(|message| message.to_string());
                return Err(self.refused(connection, &said.unwrap_or_else(|| Code(answer.error_code).to_string())));
            }
            session.lifetime =
                u64::try_from(answer.session_lifetime_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
            received = Some(answer.auth_bytes);
        }
    }

    fn refused(&self, connection: &Connection, said: &str) -> KafkaError {
        let name = self.mechanism.name();
        let message = match &self.credentials {
            Credentials::Password { user, .. } => {
                format!(
                    "{name} as {user} was refused: {said}. Check user and password (sasl.jaas.config, or sasl.username and sasl.password)"
                )
            }
            Credentials::Token(tokens) => format!("{name} was refused: {said}. The token is from {tokens}"),
        };
        KafkaError::Credentials { address: connection.address().into(), message }
    }

    /// The same for rskafka, with a token of now.
    pub(crate) fn for_rskafka(&self) -> SaslConfig {
        match &self.credentials {
            Credentials::Password { user, password } => {
                let credentials = RskafkaCredentials::new(user.clone(), password.reveal().to_owned());
                match self.mechanism {
                    Mechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
                    Mechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
                    Mechanism::Plain | Mechanism::OauthBearer => SaslConfig::Plain(credentials),
                }
            }
            Credentials::Token(tokens) => {
                let tokens = tokens.clone();
                let callback = Arc::new(move || {
                    let tokens = tokens.clone();
                    let token = async move { Ok(tokens.get().await?.reveal().to_owned()) };
                    Box::pin(token) as futures_util::future::BoxFuture<'static, Result<String, _>>
                });
                let bearer_kvs = self.extensions.clone();
                SaslConfig::Oauthbearer(OauthBearerCredentials { callback, authz_id: None, bearer_kvs })
            }
        }
    }
}

/// One authentication under way.
struct Session {
    step: Step,
    lifetime: Option<Duration>,
}

enum Step {
    /// The one message of PLAIN or OAUTHBEARER, until it is sent.
    Once(Option<Vec<u8>>),
    Scram(Box<rsasl::prelude::Session>),
    Done,
}

impl Session {
    async fn begin(sasl: &Sasl) -> Result<Session, KafkaError> {
        let step = match &sasl.credentials {
            Credentials::Password { user, password } if sasl.mechanism == Mechanism::Plain => {
                Step::Once(Some(format!("\0{user}\0{}", password.reveal()).into_bytes()))
            }
            Credentials::Password { user, password } => Step::Scram(Box::new(scram(sasl.mechanism, user, password)?)),
            Credentials::Token(tokens) => {
                let token = tokens.get().await?;
                let extensions: String =
                    sasl.extensions.iter().map(|(name, value)| format!("{name}={value}\x01")).collect();
                Step::Once(Some(format!("n,,\x01{extensions}auth=Bearer {}\x01\x01", token.reveal()).into_bytes()))
            }
        };
        Ok(Session { step, lifetime: None })
    }

    /// The next message to send, `None` after the last one. An error is the broker's refusal.
    fn next(&mut self, received: Option<&[u8]>) -> Result<Option<Vec<u8>>, String> {
        match &mut self.step {
            Step::Once(message) => match (message.take(), received) {
                (Some(message), _) => Ok(Some(message)),
                // RFC 7628, 3.2.2: the fault of a token comes as a challenge.
                (None, Some(challenge)) if !challenge.is_empty() => {
                    let challenge: serde_json::Value = serde_json::from_slice(challenge).unwrap_or_default();
                    Err(challenge["status"].as_str().unwrap_or("invalid token").to_owned())
                }
                (None, _) => Ok(None),
            },
            Step::Scram(session) => {
                let mut message = Vec::new();
                let state = session.step(received, &mut message).map_err(|error| error.to_string())?;
                if state.is_finished() {
                    self.step = Step::Done;
                }
                Ok(state.has_sent_message().then_some(message))
            }
            Step::Done => Ok(None),
        }
    }
}

fn scram(mechanism: Mechanism, user: &str, password: &Secret) -> Result<rsasl::prelude::Session, KafkaError> {
    let unusable = |error: String| KafkaError::Security { address: "SCRAM".into(), message: error };
    let callback = PasswordCallback { user: user.to_owned(), password: password.clone() };
    let config = SASLConfig::builder().with_default_mechanisms().with_callback(callback);
    let config = config.map_err(|error| unusable(error.to_string()))?;
    let name = Mechname::parse(mechanism.name().as_bytes()).map_err(|error| unusable(error.to_string()))?;
    SASLClient::new(config).start_suggested(&[name]).map_err(|error| unusable(error.to_string()))
}

struct PasswordCallback {
    user: String,
    password: Secret,
}

impl SessionCallback for PasswordCallback {
    fn callback(&self, _: &SessionData, _: &Context, request: &mut Request) -> Result<(), SessionError> {
        request.satisfy::<AuthId>(&self.user)?.satisfy::<Password>(self.password.reveal().as_bytes())?;
        Ok(())
    }
}

/// The login of `sasl.jaas.config`, or of the settings that replace it.
struct Login {
    user: Option<String>,
    password: Option<Secret>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    scope: Option<String>,
    extensions: Extensions,
}

impl Login {
    fn read(settings: &Settings, mechanism: Mechanism) -> Result<Login, String> {
        let owned = |name: &str| settings.get(name).map(str::to_owned);
        let mut login = Login {
            user: owned("sasl.username"),
            password: settings.secret("sasl.password"),
            client_id: owned("sasl.oauthbearer.client.credentials.client.id"),
            client_secret: settings.secret("sasl.oauthbearer.client.credentials.client.secret"),
            scope: owned("sasl.oauthbearer.scope"),
            extensions: extensions(settings)?,
        };
        let Some(jaas) = settings.get("sasl.jaas.config") else { return Ok(login) };
        let problem = |what: String| settings.problem("sasl.jaas.config", what);
        let mut jaas = parse_jaas(jaas).map_err(|what| problem(format!("it cannot be read: {what}")))?;
        let expected = match mechanism {
            Mechanism::Plain => "PlainLoginModule",
            Mechanism::ScramSha256 | Mechanism::ScramSha512 => "ScramLoginModule",
            Mechanism::OauthBearer => "OAuthBearerLoginModule",
        };
        if jaas.module != expected {
            return Err(problem(format!("{} takes {expected}, and it names {}", mechanism.name(), jaas.module)));
        }
        let mut option = |name: &str| jaas.options.remove(name);
        login.user = login.user.or(option("username"));
        login.password = login.password.or(option("password").map(Secret::new));
        login.client_id = login.client_id.or(option("clientId"));
        login.client_secret = login.client_secret.or(option("clientSecret").map(Secret::new));
        login.scope = login.scope.or(option("scope"));
        for (name, value) in jaas.options {
            match name.strip_prefix("extension_") {
                Some(name) => login.extensions.push((name.to_owned(), value)),
                None => return Err(problem(format!("the option {name} has no meaning here; take it out"))),
            }
        }
        Ok(login)
    }

    fn credentials(self, settings: &Settings, mechanism: Mechanism) -> Result<(Credentials, Extensions), Vec<String>> {
        if mechanism == Mechanism::OauthBearer {
            let tokens = Tokens::new(settings, self.client_id, self.client_secret, self.scope)?;
            return Ok((Credentials::Token(Arc::new(tokens)), self.extensions));
        }
        let missing = |name: &str| format!("{} needs a {name}: set sasl.{name}, or sasl.jaas.config", mechanism.name());
        match (self.user, self.password) {
            (Some(user), Some(password)) => Ok((Credentials::Password { user, password }, Vec::new())),
            (user, password) => {
                let missing =
                    [user.is_none().then(|| missing("username")), password.is_none().then(|| missing("password"))];
                Err(missing.into_iter().flatten().collect())
            }
        }
    }
}

fn extensions(settings: &Settings) -> Result<Extensions, String> {
    const NAME: &str = "sasl.oauthbearer.extensions";
    let given = settings.get(NAME).unwrap_or_default().split(',').map(str::trim).filter(|one| !one.is_empty());
    let pair = |one: &str| one.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    given.map(|one| pair(one).ok_or_else(|| settings.problem(NAME, format!("\"{one}\" is not name=value")))).collect()
}
