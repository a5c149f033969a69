#!/usr/bin/env bash
# LocalStack runs this once it is up: it applies the template that an operator would deploy, then puts the sample
# trail files where CloudTrail would, so that `docker compose up` has something to sift.
set -euo pipefail

stack=trailsift-ingest
bucket=trailsift-trail
template=/etc/trailsift-demo/cloudformation/ingest.yaml
sample=/etc/trailsift-demo/sample

awslocal cloudformation create-stack --stack-name "$stack" --template-body "file://$template" \
    --capabilities CAPABILITY_IAM \
    --parameters "ParameterKey=BucketName,ParameterValue=$bucket" "ParameterKey=QueueName,ParameterValue=trailsift-ingest" \
    >/dev/null

# Not `wait stack-create-complete`: that looks only every 30 seconds.
for _ in {1..60}; do
    state=$(awslocal cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].StackStatus' --output text)
    [[ $state == CREATE_IN_PROGRESS ]] || break
    sleep 1
done
if [[ $state != CREATE_COMPLETE ]]; then
    echo "stack $stack is $state:" >&2
    awslocal cloudformation describe-stack-events --stack-name "$stack" --output text \
        --query "StackEvents[?ends_with(ResourceStatus, 'FAILED')].[LogicalResourceId, ResourceStatusReason]" >&2
    exit 1
fi

# The samples keep a record per line, to be read and compared; CloudTrail stores one line, compressed.
cd "$sample"
find . -name '*.json' | sort | while read -r file; do
    tr -d '\n' <"$file" | gzip -n >/tmp/trail-file.json.gz
    awslocal s3api put-object --bucket "$bucket" --key "${file#./}.gz" --body /tmp/trail-file.json.gz \
        --content-type application/json >/dev/null
    echo "uploaded s3://$bucket/${file#./}.gz"
done
rm -f /tmp/trail-file.json.gz
echo "the samples hold 4 events of CodeGuru Reviewer"
