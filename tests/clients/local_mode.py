"""What a user of the SageMaker Python SDK writes: train, deploy, ask, transform, delete. tests/local_mode.rs runs it.

Nothing in it depends on where it runs. With INSTANCE_TYPE=local the SDK's local mode runs the images by docker compose, and data and output are
file://. With a type of SageMaker's own the same calls go to AWS, or to what AWS_ENDPOINT_URL names, and data and output are s3://.
"""

import json
import os
import sys

from sagemaker.deserializers import CSVDeserializer, JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer, JSONSerializer

TEXTS = ["rice and beans", "toner cartridge"]

role, instance_type = os.environ["ROLE"], os.environ["INSTANCE_TYPE"]
train_image, serve_image, data, encoder, rows, output = sys.argv[1:7]
hyperparameters = dict(argument.split("=", 1) for argument in sys.argv[7:])

estimator = Estimator(
    image_uri=train_image,
    role=role,
    instance_count=1,
    instance_type=instance_type,
    hyperparameters=hyperparameters,
    output_path=output,
)
estimator.fit({"train": data, "model": encoder})

session = estimator.sagemaker_session
model = Model(serve_image, estimator.model_data, role, predictor_cls=Predictor, sagemaker_session=session)
# Left to itself, `deploy` looks every 30 seconds whether the endpoint is there.
predictor = model.deploy(1, instance_type, serializer=JSONSerializer(), deserializer=JSONDeserializer(), wait=False)
try:
    session.wait_for_endpoint(predictor.endpoint_name, poll=1)
    answers = {"json": predictor.predict({"instances": TEXTS, "top_k": 1})}
    predictor.serializer, predictor.deserializer = CSVSerializer(), CSVDeserializer()
    answers["csv"] = predictor.predict(TEXTS)
finally:
    predictor.delete_endpoint()

transformer = model.transformer(
    1, instance_type, strategy="MultiRecord", assemble_with="Line", accept="application/jsonlines", output_path=f"{output}/batch"
)
# The logs of a transform job are asked for on AWS even in local mode.
transformer.transform(rows, content_type="text/plain", split_type="Line", logs=False)
model.delete_model()
print("answers", json.dumps(answers))
