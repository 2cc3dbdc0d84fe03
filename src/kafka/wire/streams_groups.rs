//! Messages of streams groups (KIP-1071), version 0: `StreamsGroupHeartbeat` and `StreamsGroupDescribe`, which `kafka-protocol` does not have.
//! What is here is what a member needs: requests are written and answers are read, and not the other way round.

use anyhow::{Result, bail, ensure};
use bytes::{Buf, BufMut};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, VersionRange};

/// The first version, which brokers have served since 4.1; without `streams.version` they refuse it.
const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };
/// Of requests and of answers, for all of them are flexible (KIP-482).
const HEADERS: (i16, i16) = (2, 1);

/// A part of a topology: its tasks are the partitions of its topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subtopology {
    /// Its id in the group.
    pub id: String,
    /// Topics that it reads.
    pub source_topics: Vec<String>,
    /// Topics that it writes for another part.
    pub repartition_sink_topics: Vec<String>,
    /// Topics that it reads and another part writes, with their partitions.
    pub repartition_source_topics: Vec<(String, i32)>,
}

/// Partitions of a subtopology.
pub type Tasks = Vec<(String, Vec<i32>)>;

/// A heartbeat of a member.
#[derive(Clone, Debug, Default)]
pub struct StreamsGroupHeartbeatRequest {
    /// The group.
    pub group_id: String,
    /// Made by the member.
    pub member_id: String,
    /// As the broker gave it; 0 to join, -1 to leave.
    pub member_epoch: i32,
    /// How long a task that is taken away may take to end, in milliseconds; -1 for what was said before.
    pub rebalance_timeout_ms: i32,
    /// The topology, when joining.
    pub topology: Option<Vec<Subtopology>>,
    /// Tasks that the member has; `None` for what was said before.
    pub active_tasks: Option<Tasks>,
    /// The process, when joining.
    pub process_id: Option<String>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, Default)]
pub struct StreamsGroupHeartbeatResponse {
    /// 0, or why it was refused.
    pub error_code: i16,
    /// The broker's words for it.
    pub error_message: Option<String>,
    /// The member's epoch from now on.
    pub member_epoch: i32,
    /// When the next heartbeat is due, in milliseconds.
    pub heartbeat_interval_ms: i32,
    /// What is wrong with the group, in the broker's words.
    pub status: Vec<(i8, String)>,
    /// Tasks that the member should have; `None` for what was said before.
    pub active_tasks: Option<Tasks>,
}

/// Asks for the members of one group.
#[derive(Clone, Debug, Default)]
pub struct StreamsGroupDescribeRequest {
    /// The group.
    pub group_id: String,
}

/// A group as its coordinator knows it.
#[derive(Clone, Debug, Default)]
pub struct StreamsGroupDescribeResponse {
    /// 0, or why it was refused.
    pub error_code: i16,
    /// The broker's words for it.
    pub error_message: Option<String>,
    /// The topology of the group.
    pub topology: Vec<Subtopology>,
    /// Its members.
    pub members: Vec<StreamsMember>,
}

/// A member of a streams group.
#[derive(Clone, Debug, Default)]
pub struct StreamsMember {
    /// Made by the member.
    pub member_id: String,
    /// Tasks that it has.
    pub active_tasks: Tasks,
}

impl Encodable for StreamsGroupHeartbeatRequest {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, _: i16) -> Result<()> {
        put_string(buf, &self.group_id);
        put_string(buf, &self.member_id);
        buf.put_i32(self.member_epoch);
        buf.put_i32(-1); // endpoint_information_epoch: nobody asks members for their state through the group
        put_length(buf, None); // instance_id: brokers refuse static members
        put_length(buf, None); // rack_id
        buf.put_i32(self.rebalance_timeout_ms);
        match &self.topology {
            None => buf.put_i8(-1),
            Some(parts) => {
                buf.put_i8(1);
                buf.put_i32(0); // epoch of the topology
                put_array(buf, parts, Subtopology::encode);
                put_no_tags(buf);
            }
        }
        match &self.active_tasks {
            None => (0..3).for_each(|_| put_length(buf, None)),
            Some(tasks) => {
                put_array(buf, tasks, |buf, (subtopology, partitions)| {
                    put_string(buf, subtopology);
                    put_array(buf, partitions, |buf, partition| buf.put_i32(*partition));
                    put_no_tags(buf);
                });
                (0..2).for_each(|_| put_length(buf, Some(0))); // standby and warm-up tasks
            }
        }
        match &self.process_id {
            None => put_length(buf, None),
            Some(process) => put_string(buf, process),
        }
        buf.put_i8(-1); // user_endpoint
        put_length(buf, self.process_id.is_some().then_some(0)); // client_tags
        (0..2).for_each(|_| put_length(buf, None)); // task_offsets, task_end_offsets
        buf.put_u8(0); // shutdown_application
        put_no_tags(buf);
        Ok(())
    }
    fn compute_size(&self, _: i16) -> Result<usize> {
        Ok(0) // the buffer grows
    }
}

impl Subtopology {
    fn encode<B: ByteBufMut>(buf: &mut B, part: &Subtopology) {
        put_string(buf, &part.id);
        put_array(buf, &part.source_topics, |buf, topic| put_string(buf, topic));
        put_length(buf, Some(0)); // source_topic_regex
        put_length(buf, Some(0)); // state_changelog_topics: the input is the changelog
        put_array(buf, &part.repartition_sink_topics, |buf, topic| put_string(buf, topic));
        put_array(buf, &part.repartition_source_topics, |buf, (topic, partitions)| {
            put_string(buf, topic);
            buf.put_i32(*partitions);
            buf.put_i16(0); // replication_factor: the cluster's
            put_length(buf, Some(0)); // topic_configs
            put_no_tags(buf);
        });
        put_length(buf, Some(0)); // copartition_groups
        put_no_tags(buf);
    }
    fn decode<B: ByteBuf>(buf: &mut B) -> Result<Subtopology> {
        let id = string(buf)?;
        let source_topics = array(buf, string)?;
        let repartition_sink_topics = array(buf, string)?;
        array(buf, topic_info)?; // state_changelog_topics
        let repartition_source_topics = array(buf, topic_info)?;
        skip_tags(buf)?;
        Ok(Subtopology { id, source_topics, repartition_sink_topics, repartition_source_topics })
    }
}

impl Decodable for StreamsGroupHeartbeatResponse {
    fn decode<B: ByteBuf>(buf: &mut B, _: i16) -> Result<Self> {
        int32(buf)?; // throttle_time_ms
        let (error_code, error_message) = (int16(buf)?, nullable_string(buf)?);
        string(buf)?; // member_id
        let (member_epoch, heartbeat_interval_ms) = (int32(buf)?, int32(buf)?);
        // acceptable_recovery_lag, task_offset_interval_ms
        int32(buf)?;
        int32(buf)?;
        let status = array(buf, |buf| {
            let status = (int8(buf)?, string(buf)?);
            skip_tags(buf)?;
            Ok(status)
        })?;
        let active_tasks = nullable_array(buf, task_ids)?;
        // Standby and warm-up tasks, and whom to ask for state: a topology without changelog topics has none.
        Ok(StreamsGroupHeartbeatResponse {
            error_code,
            error_message,
            member_epoch,
            heartbeat_interval_ms,
            status,
            active_tasks,
        })
    }
}

impl Encodable for StreamsGroupDescribeRequest {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, _: i16) -> Result<()> {
        put_array(buf, std::slice::from_ref(&self.group_id), |buf, group| put_string(buf, group));
        buf.put_u8(0); // include_authorized_operations
        put_no_tags(buf);
        Ok(())
    }
    fn compute_size(&self, _: i16) -> Result<usize> {
        Ok(0) // the buffer grows
    }
}

impl Decodable for StreamsGroupDescribeResponse {
    fn decode<B: ByteBuf>(buf: &mut B, _: i16) -> Result<Self> {
        int32(buf)?; // throttle_time_ms
        let mut groups = array(buf, |buf| {
            let (error_code, error_message) = (int16(buf)?, nullable_string(buf)?);
            // group_id, group_state
            string(buf)?;
            string(buf)?;
            // group_epoch, assignment_epoch
            int32(buf)?;
            int32(buf)?;
            let topology = nullable(buf, |buf| {
                int32(buf)?; // epoch
                let parts = array(buf, Subtopology::decode)?;
                skip_tags(buf)?;
                Ok(parts)
            })?;
            let members = array(buf, member)?;
            int32(buf)?; // authorized_operations
            skip_tags(buf)?;
            let topology = topology.unwrap_or_default();
            Ok(StreamsGroupDescribeResponse { error_code, error_message, topology, members })
        })?;
        groups.pop().ok_or_else(|| anyhow::anyhow!("no group in the answer"))
    }
}

fn member<B: ByteBuf>(buf: &mut B) -> Result<StreamsMember> {
    let member_id = string(buf)?;
    int32(buf)?; // member_epoch
    // instance_id, rack_id
    nullable_string(buf)?;
    nullable_string(buf)?;
    // client_id, client_host
    string(buf)?;
    string(buf)?;
    // topology_epoch, process_id
    int32(buf)?;
    string(buf)?;
    nullable(buf, |buf| {
        let endpoint = (string(buf)?, int16(buf)?);
        skip_tags(buf)?;
        Ok(endpoint)
    })?;
    array(buf, key_value)?; // client_tags
    // task_offsets, task_end_offsets
    array(buf, task_offset)?;
    array(buf, task_offset)?;
    let active_tasks = assignment(buf)?;
    assignment(buf)?; // target_assignment
    int8(buf)?; // is_classic
    skip_tags(buf)?;
    Ok(StreamsMember { member_id, active_tasks })
}

/// The active tasks of one.
fn assignment<B: ByteBuf>(buf: &mut B) -> Result<Tasks> {
    let active = array(buf, task_ids)?;
    // standby_tasks, warmup_tasks
    array(buf, task_ids)?;
    array(buf, task_ids)?;
    skip_tags(buf)?;
    Ok(active)
}

fn task_ids<B: ByteBuf>(buf: &mut B) -> Result<(String, Vec<i32>)> {
    let ids = (string(buf)?, array(buf, int32)?);
    skip_tags(buf)?;
    Ok(ids)
}

fn task_offset<B: ByteBuf>(buf: &mut B) -> Result<()> {
    // an offset is a number of 8 bytes
    string(buf)?;
    int32(buf)?;
    int32(buf)?;
    int32(buf)?;
    skip_tags(buf)
}

fn topic_info<B: ByteBuf>(buf: &mut B) -> Result<(String, i32)> {
    let topic = (string(buf)?, int32(buf)?);
    int16(buf)?; // replication_factor
    array(buf, key_value)?; // topic_configs
    skip_tags(buf)?;
    Ok(topic)
}

fn key_value<B: ByteBuf>(buf: &mut B) -> Result<()> {
    string(buf)?;
    string(buf)?;
    skip_tags(buf)
}

fn put_varint<B: BufMut>(buf: &mut B, mut value: u32) {
    while value >= 0x80 {
        buf.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    buf.put_u8(value as u8);
}
/// Of a compact string or array; `None` for null.
fn put_length<B: BufMut>(buf: &mut B, length: Option<usize>) {
    put_varint(buf, length.map_or(0, |length| u32::try_from(length + 1).unwrap_or(u32::MAX)));
}
fn put_string<B: BufMut>(buf: &mut B, text: &str) {
    put_length(buf, Some(text.len()));
    buf.put_slice(text.as_bytes());
}
fn put_array<B: BufMut, T>(buf: &mut B, values: &[T], mut put: impl FnMut(&mut B, &T)) {
    put_length(buf, Some(values.len()));
    values.iter().for_each(|value| put(buf, value));
}
fn put_no_tags<B: BufMut>(buf: &mut B) {
    put_varint(buf, 0);
}

fn need<B: Buf>(buf: &B, bytes: usize) -> Result<()> {
    ensure!(buf.remaining() >= bytes, "it ends too soon");
    Ok(())
}
fn int8<B: Buf>(buf: &mut B) -> Result<i8> {
    need(buf, 1)?;
    Ok(buf.get_i8())
}
fn int16<B: Buf>(buf: &mut B) -> Result<i16> {
    need(buf, 2)?;
    Ok(buf.get_i16())
}
fn int32<B: Buf>(buf: &mut B) -> Result<i32> {
    need(buf, 4)?;
    Ok(buf.get_i32())
}
fn varint<B: Buf>(buf: &mut B) -> Result<u32> {
    let mut value = 0;
    for shift in (0..32).step_by(7) {
        let byte = int8(buf)? as u8;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    bail!("a number of more than 5 bytes")
}
fn length<B: Buf>(buf: &mut B) -> Result<Option<usize>> {
    Ok(varint(buf)?.checked_sub(1).map(|length| length as usize))
}
fn nullable_string<B: ByteBuf>(buf: &mut B) -> Result<Option<String>> {
    let Some(length) = length(buf)? else { return Ok(None) };
    Ok(Some(String::from_utf8(buf.try_get_bytes(length)?.to_vec())?))
}
fn string<B: ByteBuf>(buf: &mut B) -> Result<String> {
    nullable_string(buf)?.ok_or_else(|| anyhow::anyhow!("no text where there must be one"))
}
fn nullable_array<B: ByteBuf, T>(buf: &mut B, mut read: impl FnMut(&mut B) -> Result<T>) -> Result<Option<Vec<T>>> {
    let Some(length) = length(buf)? else { return Ok(None) };
    need(buf, length)?; // an element has a byte at least: no absurd length is believed
    (0..length).map(|_| read(buf)).collect::<Result<_>>().map(Some)
}
fn array<B: ByteBuf, T>(buf: &mut B, read: impl FnMut(&mut B) -> Result<T>) -> Result<Vec<T>> {
    Ok(nullable_array(buf, read)?.unwrap_or_default())
}
fn nullable<B: ByteBuf, T>(buf: &mut B, read: impl FnOnce(&mut B) -> Result<T>) -> Result<Option<T>> {
    if int8(buf)? < 0 { Ok(None) } else { read(buf).map(Some) }
}
fn skip_tags<B: ByteBuf>(buf: &mut B) -> Result<()> {
    for _ in 0..varint(buf)? {
        varint(buf)?;
        let bytes = varint(buf)? as usize;
        need(buf, bytes)?;
        buf.advance(bytes);
    }
    Ok(())
}

/// The half of the traits that a client does not use.
macro_rules! half {
    ($request:ident = $key:literal -> $response:ident) => {
        impl Request for $request {
            const KEY: i16 = $key;
            type Response = $response;
        }
        impl Decodable for $request {
            fn decode<B: ByteBuf>(_: &mut B, _: i16) -> Result<Self> {
                bail!("only brokers read it")
            }
        }
        impl Encodable for $response {
            fn encode<B: ByteBufMut>(&self, _: &mut B, _: i16) -> Result<()> {
                bail!("only brokers write it")
            }
            fn compute_size(&self, _: i16) -> Result<usize> {
                bail!("only brokers write it")
            }
        }
        half!($request, HEADERS.0);
        half!($response, HEADERS.1);
    };
    ($message:ident, $header:expr) => {
        impl Message for $message {
            const VERSIONS: VersionRange = VERSIONS;
            const DEPRECATED_VERSIONS: Option<VersionRange> = None;
        }
        impl HeaderVersion for $message {
            fn header_version(_: i16) -> i16 {
                $header
            }
        }
    };
}

half!(StreamsGroupHeartbeatRequest = 88 -> StreamsGroupHeartbeatResponse);
half!(StreamsGroupDescribeRequest = 89 -> StreamsGroupDescribeResponse);

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::*;

    #[test]
    fn a_first_heartbeat_is_written_field_by_field() {
        let part = Subtopology { id: "0".into(), source_topics: vec!["t".into()], ..Subtopology::default() };
        let request = StreamsGroupHeartbeatRequest {
            group_id: "g".into(),
            member_id: "m".into(),
            member_epoch: 0,
            rebalance_timeout_ms: 1,
            topology: Some(vec![part]),
            active_tasks: Some(vec![("0".into(), vec![7])]),
            process_id: Some("p".into()),
        };
        let mut buf = BytesMut::new();
        request.encode(&mut buf, 0).expect("written");
        let expected = [
            &b"\x02g\x02m\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\x01"[..], // up to the time-out
            b"\x01\0\0\0\0\x02\x020\x02\x02t\x01\x01\x01\x01\x01\0\0", // the topology
            b"\x02\x020\x02\0\0\0\x07\0\x01\x01",                     // tasks
            b"\x02p\xff\x01\0\0\0\0",                                 // process, endpoint, tags, offsets, shutdown
        ];
        assert_eq!(buf, expected.concat());
    }

    #[test]
    fn an_answer_is_read_and_a_torn_one_is_refused() {
        let answer: &[u8] = b"\0\0\0\0\0\0\0\x02m\0\0\0\x05\0\0\x13\x88\0\0\x27\x10\0\0\xea\x60\x02\x01\x05lost\0\x02\x020\x02\0\0\0\x07\0\0\0\0\0\0\0\0";
        let read = StreamsGroupHeartbeatResponse::decode(&mut Bytes::from_static(answer), 0).expect("an answer");
        assert_eq!((read.error_code, read.member_epoch, read.heartbeat_interval_ms), (0, 5, 5_000));
        assert_eq!((read.status, read.active_tasks), (vec![(1, "lost".into())], Some(vec![("0".into(), vec![7])])));
        for torn in 0..42 {
            assert!(
                StreamsGroupHeartbeatResponse::decode(&mut Bytes::from_static(&answer[..torn]), 0).is_err(),
                "{torn}"
            );
        }
    }
}
