//! The records of MTA-STS and TLS-RPT, as far as a check needs them read: `v=NAME; key=value; …`.

/// `id=` of the one MTA-STS record among the texts (RFC 8461 §3.1); `None` when there is none.
pub fn mta_sts_id(texts: &[Vec<u8>]) -> Result<Option<String>, String> {
    let Some(fields) = select(texts, "v=STSv1")? else { return Ok(None) };
    let id = value(&fields, "id").ok_or("it has no id")?;
    let fits = (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    if fits { Ok(Some(id)) } else { Err("its id is not 1 to 32 letters and digits".into()) }
}

/// The destinations of the one TLS-RPT record among the texts (RFC 8460 §3).
pub fn tls_rpt_rua(texts: &[Vec<u8>]) -> Result<Option<Vec<String>>, String> {
    let Some(fields) = select(texts, "v=TLSRPTv1")? else { return Ok(None) };
    let rua = value(&fields, "rua").ok_or("it has no rua")?;
    let uris: Vec<String> = rua.split(',').map(|uri| uri.trim().to_owned()).collect();
    let known = |uri: &String| {
        let uri = uri.to_ascii_lowercase();
        uri.starts_with("mailto:") && uri.contains('@') || uri.starts_with("https://")
    };
    if uris.iter().all(known) {
        Ok(Some(uris))
    } else {
        Err(format!("rua={rua} is no place to report to"))
    }
}

/// The fields of the one record of a version. Others may stand at the same name.
fn select(texts: &[Vec<u8>], version: &str) -> Result<Option<Vec<String>>, String> {
    let texts = texts.iter().map(|text| String::from_utf8_lossy(text).into_owned());
    let mut ours = texts.filter_map(|text| {
        let mut fields: Vec<String> = text.split(';').map(|f| f.trim().to_owned()).collect();
        (fields.remove(0) == version).then_some(fields)
    });
    let Some(mut fields) = ours.next() else { return Ok(None) };
    if ours.next().is_some() {
        return Err("there is more than one record, so none counts".into());
    }
    if fields.last().is_some_and(String::is_empty) {
        fields.pop();
    }
    match fields.iter().all(|field| field.contains('=')) {
        true => Ok(Some(fields)),
        false => Err("a field has no `=`".into()),
    }
}

fn value(fields: &[String], name: &str) -> Option<String> {
    let mut pairs = fields.iter().filter_map(|field| field.split_once('='));
    pairs.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    /// The examples of RFC 8461 §3.1 and RFC 8460 §3.1.
    #[test]
    fn records_are_read() {
        let id = mta_sts_id(&texts(&["v=STSv1; id=20160831085700Z;", "something else"]));
        assert_eq!(id, Ok(Some("20160831085700Z".to_owned())));
        let rua = tls_rpt_rua(&texts(&["v=TLSRPTv1;rua=mailto:reports@example.com"]));
        assert_eq!(rua, Ok(Some(vec!["mailto:reports@example.com".to_owned()])));
        assert_eq!(mta_sts_id(&texts(&[])), Ok(None));
        assert!(mta_sts_id(&texts(&["v=STSv1; id=1", "v=STSv1; id=2"])).is_err());
        assert!(mta_sts_id(&texts(&["v=STSv1; id=2026-11-26"])).is_err());
        assert!(tls_rpt_rua(&texts(&["v=TLSRPTv1; rua=postmaster"])).is_err());
    }
}
