use aws_sdk_sts::Client;

use super::{Examiner, Refusal, refused, timeouts};
use crate::connector::NAME;
use crate::{AnswerLimit, Session};

/// Who AWS says that we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account of the user or role.
    pub account: String,
    /// The user, role session or federated user.
    pub arn: String,
}

impl Examiner {
    fn sts(&self, session: &Session) -> Client {
        let config = aws_sdk_sts::config::Builder::from(session.config());
        Client::from_conf(
            config
                .timeout_config(timeouts())
                .interceptor(self.watching())
                .interceptor(AnswerLimit::USUAL)
                .build(),
        )
    }

    /// `sts:GetCallerIdentity` with the process's own credentials. Needs no permission.
    ///
    /// # Errors
    /// If there are no credentials, AWS does not take them, or STS does not answer.
    pub async fn own_identity(&self) -> Result<Identity, Refusal> {
        self.identity_in(&self.own).await
    }

    /// `sts:GetCallerIdentity` with the account's credentials, a role's where it has one.
    ///
    /// # Errors
    /// As [`Self::own_identity`]; a role that cannot be assumed is [`Refusal::Credentials`].
    pub async fn identity(&self) -> Result<Identity, Refusal> {
        self.identity_in(&self.session).await
    }

    async fn identity_in(&self, session: &Session) -> Result<Identity, Refusal> {
        let asked = async {
            let answer = self.sts(session).get_caller_identity().send().await;
            let answer = answer.map_err(|error| refused(session, &error))?;
            Ok(Identity {
                account: answer.account.unwrap_or_default(),
                arn: answer.arn.unwrap_or_default(),
            })
        };
        self.limit.of(asked).await
    }

    /// `sts:AssumeRole` of the account's role, as the service asks for it, with its external ID.
    /// `Ok` where the account has none.
    ///
    /// # Errors
    /// [`Refusal::Denied`] where the role does not exist, does not trust us, demands another external
    /// ID, or where our own policy does not allow it: STS does not tell these apart.
    pub async fn assume_role(&self) -> Result<(), Refusal> {
        let Some(role) = &self.settings.role_arn else { return Ok(()) };
        let request = self.sts(&self.own).assume_role().role_arn(role).role_session_name(NAME);
        let request = request.set_external_id(self.settings.external_id.clone());
        let asked =
            async { request.send().await.map(drop).map_err(|error| refused(&self.own, &error)) };
        self.limit.of(asked).await
    }
}
