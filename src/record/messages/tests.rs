//! Messages in both languages, as text and as data.

use super::*;

#[test]
fn a_message_keeps_its_values_in_every_language() {
    let hint = Some(Hint::WithDelimiter { delimiter: Delimiter(b';'), fields: 5 });
    let message = Message::FieldCount { have: 1, want: 5, hint };
    assert_eq!(
        message.say(Lang::En),
        "the row has 1 fields, the header has 5; with semicolon as the delimiter it would have 5"
    );
    assert_eq!(message.say(Lang::Ko), "제목 행은 5칸인데 이 행은 1칸입니다. 구분 기호를 세미콜론으로 보면 5칸입니다");
    let message = Message::OutsideArea {
        x: 127.1,
        y: 37.5,
        place: Place::At { longitude: 1.0, latitude: 2.0 },
        crs: "EPSG:5179".to_owned(),
        area: Area::Bounds { west: 122.71, south: 28.6, east: 134.28, north: 40.27 },
        hint: Some(Hint::Degrees {}),
    };
    assert_eq!(
        message.say(Lang::Ko),
        "(127.1, 37.5)는 경도 1.0000, 위도 2.0000으로, EPSG:5179의 사용 범위(경도 122.71~134.28, 위도 28.6~40.27) 밖입니다. \
         미터가 아니라 도(°) 단위 값으로 보입니다"
    );
}

#[test]
fn messages_hold_messages_and_have_their_reason() {
    let why = Message::NotANumber { value: Quoted::new("확인중"), hint: None };
    let message = Message::RowFailsUpload { row: 3, why: Box::new(why) };
    assert_eq!(message.reason(), Reason::NumberFormat);
    assert_eq!(message.to_string(), "row 3 was rejected and on_error = \"fail\": \"확인중\" is not a number");
    assert_eq!(message.say(Lang::Ko), "on_error = \"fail\"인데 3행이 제외되었습니다: \"확인중\"은 숫자가 아닙니다");
}

#[test]
fn a_message_is_read_back_from_json_and_one_of_a_later_release_is_none() {
    let header = Names::of(["가", "나"].into_iter());
    let message =
        Message::ColumnMissing { candidates: AnyOf(vec!["x".to_owned(), "X좌표".to_owned()]), header, hint: None };
    assert_eq!(Message::from_json(&message.to_json()), Some(message));
    assert_eq!(
        Message::FieldCount { have: 3, want: 5, hint: None }.to_json(),
        r#"{"field_count":{"have":3,"want":5,"hint":null}}"#
    );
    assert_eq!(Message::from_json(r#"{"of_a_later_release":{}}"#), None);
}

#[test]
fn values_are_quoted_short_and_without_control_characters() {
    assert_eq!(Quoted::new(&"x".repeat(61)).to_string(), format!("\"{}…\"", "x".repeat(60)));
    assert_eq!(Quoted::new("\u{1b}[31m").to_string(), "\"\\u{1b}[31m\"");
}
