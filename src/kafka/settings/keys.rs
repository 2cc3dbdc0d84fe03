//! Every setting that is known by name: the ones in use, and the ones of other clients, each with the reason why it has no effect here.
//! `docs/kafka.md` holds the same table, and a test compares them.

/// A setting under its name in Kafka's Java clients, where they have it.
#[derive(Debug)]
pub struct Key {
    /// Name.
    pub name: &'static str,
    /// Other names of the same setting, chiefly librdkafka's.
    pub aliases: &'static [&'static str],
    /// Value unless one is given; empty for none.
    pub default: &'static str,
    /// True for passwords, keys and tokens: masked wherever settings are printed.
    pub is_secret: bool,
    /// Its effect.
    pub text: &'static str,
}

const fn key(name: &'static str, aliases: &'static [&'static str], default: &'static str, text: &'static str) -> Key {
    Key { name, aliases, default, is_secret: false, text }
}
const fn secret(name: &'static str, aliases: &'static [&'static str], text: &'static str) -> Key {
    Key { name, aliases, default: "", is_secret: true, text }
}

/// The settings in use.
pub const KEYS: &[Key] = &[
    key(
        "bootstrap.servers",
        &["metadata.broker.list"],
        "localhost:9092",
        "Brokers to begin with, `host:port` separated by commas",
    ),
    key(
        "client.id",
        &[],
        "",
        "Name under which an operator sees the process; by default `sheetstream` and the command",
    ),
    key(
        "client.rack",
        &[],
        "",
        "Rack or zone that the process is in: committed records are read from a copy there, where brokers have `replica.selector.class`",
    ),
    key(
        "security.protocol",
        &[],
        "PLAINTEXT",
        "Protocol of the listener: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`",
    ),
    key(
        "ssl.truststore.location",
        &["ssl.ca.location"],
        "",
        "File of the certificate authorities that are trusted, PEM or PKCS#12; by default the system's",
    ),
    key("ssl.truststore.certificates", &["ssl.ca.pem"], "", "The same as PEM text"),
    secret("ssl.truststore.password", &[], "Password of a PKCS#12 truststore"),
    key(
        "ssl.truststore.type",
        &[],
        "",
        "`PEM` or `PKCS12`; by default found in the file. `JKS` is refused with the command that converts it",
    ),
    key(
        "ssl.keystore.location",
        &[],
        "",
        "File of the client's private key and certificate chain for mutual TLS, PEM or PKCS#12",
    ),
    key("ssl.keystore.type", &[], "", "As `ssl.truststore.type`"),
    secret("ssl.keystore.password", &[], "Password of a PKCS#12 keystore"),
    secret("ssl.keystore.key", &["ssl.key.pem"], "The client's private key as PEM text"),
    key("ssl.key.location", &[], "", "File of the client's private key, PEM"),
    secret("ssl.key.password", &[], "Password of an encrypted private key"),
    key("ssl.keystore.certificate.chain", &["ssl.certificate.pem"], "", "The client's certificate chain as PEM text"),
    key("ssl.certificate.location", &[], "", "File of the client's certificate chain, PEM"),
    key(
        "ssl.endpoint.identification.algorithm",
        &[],
        "https",
        "`https` checks that the broker's certificate names its host; empty or `none` switches that off",
    ),
    key(
        "sasl.mechanism",
        &["sasl.mechanisms"],
        "",
        "`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`; needed with `SASL_PLAINTEXT` and `SASL_SSL`",
    ),
    secret(
        "sasl.jaas.config",
        &[],
        "Login module with user and password, or client id and secret, as Java clients take it",
    ),
    key("sasl.username", &[], "", "User of `PLAIN` and `SCRAM`, instead of `sasl.jaas.config`"),
    secret("sasl.password", &[], "Password of that user"),
    key(
        "sasl.login.callback.handler.class",
        &[],
        "",
        "Kafka's own `OAuthBearerLoginCallbackHandler` is what `OAUTHBEARER` does here anyway; other classes are refused",
    ),
    key(
        "sasl.oauthbearer.token.endpoint.url",
        &[],
        "",
        "Where `OAUTHBEARER` gets its token: `https://…` of the identity provider, or `file:///…` of a file that holds one",
    ),
    key(
        "sasl.oauthbearer.client.credentials.client.id",
        &["sasl.oauthbearer.client.id"],
        "",
        "Client id for the identity provider, instead of `clientId` in `sasl.jaas.config`",
    ),
    secret(
        "sasl.oauthbearer.client.credentials.client.secret",
        &["sasl.oauthbearer.client.secret"],
        "Client secret for the identity provider, instead of `clientSecret` in `sasl.jaas.config`",
    ),
    key("sasl.oauthbearer.scope", &[], "", "Scope to ask for, instead of `scope` in `sasl.jaas.config`"),
    key(
        "sasl.oauthbearer.extensions",
        &[],
        "",
        "SASL extensions, `name=value` separated by commas, instead of `extension_…` in `sasl.jaas.config`",
    ),
    key("sasl.login.read.timeout.ms", &[], "10000", "Longest wait for the identity provider, connecting included"),
    key("request.timeout.ms", &["socket.timeout.ms"], "10000", "Longest wait for the answer to one request"),
    key("socket.connection.setup.timeout.ms", &[], "10000", "Longest wait for a connection, TLS included"),
    key(
        "default.api.timeout.ms",
        &[],
        "",
        "Longest time that one operation is tried again while brokers do not answer; `run` waits without a limit",
    ),
    key(
        "delivery.timeout.ms",
        &["message.timeout.ms"],
        "30000",
        "Longest time that a batch is tried again, before what writes to that topic is stopped",
    ),
    key("reconnect.backoff.ms", &[], "100", "Pause before the first retry; each further one is twice as long"),
    key("reconnect.backoff.max.ms", &[], "2000", "Longest pause between two retries"),
    key(
        "metadata.max.age.ms",
        &["topic.metadata.refresh.interval.ms"],
        "300000",
        "How long leaders and partitions of a topic are believed without asking again",
    ),
    key(
        "compression.type",
        &["compression.codec"],
        "none",
        "Codec of rows that `publish` and the page send: `none` or `lz4`; workbooks are compressed already",
    ),
    key("batch.size", &["batch.num.bytes"], "1000000", "Bytes of rows after which `publish` and the page send a batch"),
    key(
        "isolation.level",
        &[],
        "read_committed",
        "Which records of transactions `run` reads: `read_uncommitted` or `read_committed`",
    ),
    key(
        "group.protocol",
        &[],
        "auto",
        "Protocol of the group: `consumer` (KIP-848), `classic`, `auto` for the newer of the two that the cluster has, or `streams` (KIP-1071)",
    ),
    key(
        "session.timeout.ms",
        &[],
        "45000",
        "In a classic group: time without a heartbeat after which a member is put out; else the broker decides",
    ),
    key("heartbeat.interval.ms", &[], "3000", "In a classic group: time between heartbeats; else the broker decides"),
    key(
        "transaction.timeout.ms",
        &[],
        "60000",
        "With `exactly_once_v2`: how long a workbook may take to send, and readers wait for a process that died while it sent one; at most \
         the brokers' `transaction.max.timeout.ms`",
    ),
];

/// A setting of other clients that has no effect here.
#[derive(Debug)]
pub struct Unused {
    /// Name; one that ends with `.` covers all names that begin with it.
    pub name: &'static str,
    /// Why, and what serves instead.
    pub why: &'static str,
}

const JAVA: &str = "it names a Java class or provider, which is not loaded here";
const TLS: &str = "TLS 1.3 and 1.2 are offered with the cipher suites of rustls";
const GROUP: &str = "the group is the topology's name and its offsets are committed with the state";
const SERDE: &str = "records are CSV text and workbooks";
const PRODUCER: &str = "writes are idempotent and acknowledged by all in-sync replicas";
const FETCH: &str = "reads are sized by the state of the partition's buffer";
const SOCKET: &str = "the operating system decides";
const LIBRDKAFKA: &str = "it is about the inside of librdkafka";
const LOGIN: &str = "a token is renewed when four fifths of its life are over";
const KERBEROS: &str = "Kerberos is not spoken here";

const MURMUR: &str = "records go to the partition that Kafka's murmur2 of their key names";

const fn unused(name: &'static str, why: &'static str) -> Unused {
    Unused { name, why }
}

/// The settings that are accepted and have no effect.
pub const UNUSED: &[Unused] = &[
    unused("acks", PRODUCER),
    unused("allow.auto.create.topics", "topics are made by `sheetstream topics create` alone"),
    unused("api.version.request", LIBRDKAFKA),
    unused("auto.commit.interval.ms", GROUP),
    unused("auto.include.jmx.reporter", JAVA),
    unused("auto.offset.reset", "a topology without offsets begins at the start of the log"),
    unused("broker.address.family", "every address of a name is tried"),
    unused("broker.version.fallback", LIBRDKAFKA),
    unused("buffer.memory", "at most 16 MiB are unacknowledged"),
    unused("check.crcs", "checksums of batches are always verified"),
    unused("client.dns.lookup", "every address of a name is tried"),
    unused("connections.max.idle.ms", "a connection that the broker closed is opened anew"),
    unused("debug", "SHEETSTREAM_LOG sets what is logged"),
    unused("enable.auto.commit", GROUP),
    unused("enable.idempotence", PRODUCER),
    unused("enable.metrics.push", "metrics are served at /metrics"),
    unused("exclude.internal.topics", "topics are those of the topology"),
    unused("fetch.", FETCH),
    unused("group.id", GROUP),
    unused("group.instance.id", "--instance-id names the instance"),
    unused("group.remote.assignor", "the broker's default assignor is used"),
    unused("interceptor.classes", JAVA),
    unused("internal.", JAVA),
    unused("key.deserializer", SERDE),
    unused("key.serializer", SERDE),
    unused("linger.ms", "batches are full or the last of their upload; nothing lingers"),
    unused("log_level", "SHEETSTREAM_LOG sets what is logged"),
    unused("max.in.flight", PRODUCER),
    unused("max.in.flight.requests.per.connection", PRODUCER),
    unused("max.block.ms", "default.api.timeout.ms is the limit of every operation"),
    unused("max.partition.fetch.bytes", FETCH),
    unused("max.poll.", FETCH),
    unused("max.request.size", "record_bytes_max of the topology limits records"),
    unused("message.max.bytes", "record_bytes_max of the topology limits records"),
    unused("metadata.max.idle.ms", "metadata.max.age.ms limits how long metadata is believed"),
    unused("metadata.recovery.", "the bootstrap list is always tried again"),
    unused("metric.reporters", "metrics are served at /metrics"),
    unused("metrics.", "metrics are served at /metrics"),
    unused("partition.assignment.strategy", "the broker assigns partitions"),
    unused("partitioner", MURMUR),
    unused("partitioner.", MURMUR),
    unused("receive.buffer.bytes", SOCKET),
    unused("retries", "default.api.timeout.ms is the limit of every operation"),
    unused("retry.backoff.", "reconnect.backoff.ms and reconnect.backoff.max.ms are the one backoff of every retry"),
    unused("sasl.kerberos.", KERBEROS),
    unused("sasl.login.connect.timeout.ms", "sasl.login.read.timeout.ms includes connecting"),
    unused("sasl.login.refresh.", LOGIN),
    unused("sasl.login.retry.backoff.", "reconnect.backoff.ms is the one backoff of every retry"),
    unused("sasl.oauthbearer.clock.skew.seconds", "the broker checks tokens"),
    unused("sasl.oauthbearer.expected.", "the broker checks tokens"),
    unused("sasl.oauthbearer.jwks.", "the broker checks tokens"),
    unused("sasl.oauthbearer.method", "sasl.oauthbearer.token.endpoint.url says where tokens come from"),
    unused("sasl.oauthbearer.scope.claim.name", "the broker checks tokens"),
    unused("sasl.oauthbearer.sub.claim.name", "the broker checks tokens"),
    unused("security.providers", JAVA),
    unused("send.buffer.bytes", SOCKET),
    unused("socket.connection.setup.timeout.max.ms", "socket.connection.setup.timeout.ms is the limit of each try"),
    unused("socket.keepalive.enable", SOCKET),
    unused("socket.nagle.disable", "requests are sent at once"),
    unused("ssl.cipher.suites", TLS),
    unused("ssl.enabled.protocols", TLS),
    unused("ssl.keymanager.algorithm", JAVA),
    unused("ssl.protocol", TLS),
    unused("ssl.provider", JAVA),
    unused("ssl.secure.random.implementation", JAVA),
    unused("ssl.trustmanager.algorithm", JAVA),
    unused("statistics.interval.ms", "metrics are served at /metrics"),
    unused("transactional.id", "with exactly_once_v2 it follows from the topology and the partition"),
    unused("value.deserializer", SERDE),
    unused("value.serializer", SERDE),
];

/// Settings that cannot be done without and cannot be obeyed: to ignore one would weaken what its author asked for.
pub const REFUSED: &[Unused] = &[
    unused(
        "config.providers",
        "values are taken as they are written; SHEETSTREAM_KAFKA_<KEY>_FILE reads one from a file",
    ),
    unused(
        "enable.ssl.certificate.verification",
        "certificates are always verified; name the broker's certificate authority in ssl.truststore.location",
    ),
    unused("sasl.client.callback.handler.class", JAVA),
    unused("sasl.login.class", JAVA),
    unused(
        "sasl.oauthbearer.assertion.",
        "of the grants of OAuth only client credentials are spoken; use a token file",
    ),
    unused("sasl.oauthbearer.jwt.retriever.class", JAVA),
    unused("sasl.oauthbearer.jwt.validator.class", JAVA),
    unused(
        "ssl.crl.location",
        "revocation lists are not read; take certificates that are revoked out of use at the brokers",
    ),
    unused("ssl.engine.factory.class", JAVA),
    unused("ssl.engine.location", JAVA),
];

/// The setting of that name or alias.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name || key.aliases.contains(&name))
}

/// Why a setting of that name has no effect, or is refused.
pub(super) fn find_unused(table: &'static [Unused], name: &str) -> Option<&'static str> {
    let matches = |of: &Unused| of.name == name || (of.name.ends_with('.') && name.starts_with(of.name));
    table.iter().find(|of| matches(of)).map(|of| of.why)
}

/// The known name that looks most like `name`, if one does.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let known = KEYS.iter().flat_map(|key| std::iter::once(&key.name).chain(key.aliases));
    let (distance, nearest) = known.map(|known| (strsim::osa_distance(name, known), *known)).min()?;
    (distance <= 1 + name.len() / 10).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables of `docs/kafka.md`.
    fn rows() -> Vec<String> {
        let code = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let used = KEYS.iter().map(|key| {
            let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
            format!("| `{}` | {} | {default} | {} |", key.name, code(key.aliases), key.text)
        });
        let others = UNUSED.iter().chain(REFUSED).map(|of| {
            let name = if of.name.ends_with('.') { format!("{}*", of.name) } else { of.name.to_owned() };
            format!("| `{name}` | {} |", of.why)
        });
        used.chain(others).collect()
    }

    #[test]
    fn the_documentation_holds_every_setting_as_it_is() {
        let document = include_str!("../../../docs/kafka.md");
        let missing: Vec<_> = rows().into_iter().filter(|row| !document.lines().any(|line| line == row)).collect();
        assert!(missing.is_empty(), "docs/kafka.md lacks:\n{}", missing.join("\n"));
    }
}
