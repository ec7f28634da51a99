"""Metrics for alarms and the dashboard: those of the function and those of AWS, with their dimensions.

test_events.py holds the first part to what the function really emits.
"""

METRICS = {
    ("FailedBatchHydrator", "Batches"): {"FunctionName", "Status"},
    ("FailedBatchHydrator", "OldestRecordAge"): {"FunctionName"},
    ("FailedBatchHydrator", "RecordsRecovered"): {"FunctionName"},
    ("FailedBatchHydrator", "RecordsMissing"): {"FunctionName"},
    ("FailedBatchHydrator", "ReadCalls"): {"FunctionName"},
    ("FailedBatchHydrator", "Throttles"): {"FunctionName"},
    ("FailedBatchHydrator", "OverflowBytes"): {"FunctionName"},
    ("FailedBatchHydrator", "Duration"): {"FunctionName"},
    ("FailedBatchHydrator", "BatchesFailed"): {"FunctionName", "ErrorType"},
    ("FailedBatchHydrator", "BatchesContinued"): {"FunctionName", "ErrorType"},
    ("FailedBatchHydrator", "Drills"): {"FunctionName", "Status"},
    ("FailedBatchHydrator", "DrillsFailed"): {"FunctionName", "ErrorType"},
    ("FailedBatchHydrator", "WindowsUnknown"): {"StackName"},
    ("AWS/SQS", "NumberOfMessagesSent"): {"QueueName"},
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): {"QueueName"},
    ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible"): {"QueueName"},
    ("AWS/SNS", "NumberOfNotificationsRedrivenToDlq"): {"TopicName"},
    ("AWS/SNS", "NumberOfNotificationsFailedToRedriveToDlq"): {"TopicName"},
    ("AWS/Events", "TriggeredRules"): {"RuleName"},
    ("AWS/Events", "FailedInvocations"): {"RuleName"},
    ("AWS/Events", "InvocationsSentToDlq"): {"RuleName"},
    ("AWS/Events", "InvocationsFailedToBeSentToDlq"): {"RuleName"},
    ("AWS/Lambda", "Invocations"): {"FunctionName"},
    ("AWS/Lambda", "Duration"): {"FunctionName"},
    ("AWS/Lambda", "Errors"): {"FunctionName"},
    ("AWS/Lambda", "Throttles"): {"FunctionName"},
    ("AWS/Lambda", "DestinationDeliveryFailures"): {"FunctionName"},
    ("AWS/Lambda", "IteratorAge"): {"FunctionName"},
    ("AWS/Lambda", "PolledEventCount"): {"EventSourceMappingUUID"},
    ("AWS/Lambda", "DroppedEventCount"): {"EventSourceMappingUUID"},
    ("AWS/Lambda", "OnFailureDestinationDeliveredEventCount"): {"EventSourceMappingUUID"},
}
