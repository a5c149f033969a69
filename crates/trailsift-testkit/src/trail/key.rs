use time::OffsetDateTime;

/// Where and when an object is delivered: all that its key is made of.
#[derive(Clone, Debug)]
pub(super) struct Delivery<'a> {
    /// The trail's own prefix, with its final slash; may be empty.
    pub(super) prefix: &'a str,
    /// The organization of an organization trail.
    pub(super) organization: Option<&'a str>,
    /// The account whose events these are.
    pub(super) account: &'a str,
    /// The region whose events these are.
    pub(super) region: &'a str,
    /// Seconds since 1970: when the file is delivered.
    pub(super) at: i64,
}

impl Delivery<'_> {
    /// The folder of one kind of file, with its final slash.
    fn folder(&self, kind: &str) -> String {
        let organization =
            self.organization.map(|organization| format!("{organization}/")).unwrap_or_default();
        let at = moment(self.at);
        format!(
            "{}AWSLogs/{organization}{}/{kind}/{}/{:04}/{:02}/{:02}/",
            self.prefix,
            self.account,
            self.region,
            at.year(),
            u8::from(at.month()),
            at.day(),
        )
    }

    /// The key of a trail file, or of an Insight, network activity or aggregated file.
    pub(super) fn key(&self, kind: &str, unique: &str) -> String {
        let at = moment(self.at);
        format!(
            "{}{}_{kind}_{}_{:04}{:02}{:02}T{:02}{:02}Z_{unique}.json.gz",
            self.folder(kind),
            self.account,
            self.region,
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
        )
    }

    /// The key of a digest file of the trail `trail`, whose home is us-east-1.
    pub(super) fn digest_key(&self, trail: &str, backfill: bool) -> String {
        format!(
            "{}{}_CloudTrail-Digest_{}_{trail}_us-east-1_{}{}.json.gz",
            self.folder("CloudTrail-Digest"),
            self.account,
            self.region,
            timestamp(self.at).replace(['-', ':'], ""),
            if backfill { "_backfill" } else { "" },
        )
    }

    /// The key of a load balancer's access log, the usual neighbour of trail files.
    pub(super) fn load_balancer_key(&self, unique: &str) -> String {
        format!(
            "{}{}_elasticloadbalancing_{}_app.web.50dc6c495c0c9188_{}_203.0.113.7_{unique}.log.gz",
            self.folder("elasticloadbalancing"),
            self.account,
            self.region,
            timestamp(self.at).replace(['-', ':'], ""),
        )
    }
}

/// `2026-01-15T00:05:00Z`, as CloudTrail writes times.
pub(super) fn timestamp(seconds: i64) -> String {
    let at = moment(seconds);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
    )
}

fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
