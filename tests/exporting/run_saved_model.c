/* usage: run_saved_model FOLDER LABEL_INPUT SEED_INPUT TRUNCATION_INPUT OUTPUT OUTPUT_INDEX
   Prints the bytes of the image of label 3, seed 7, truncation 0.5. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

static void check(TF_Status* status) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s\n", TF_Message(status));
    exit(1);
  }
}

static TF_Output at(TF_Graph* graph, const char* name, int index) {
  TF_Output place = {TF_GraphOperationByName(graph, name), index};
  if (place.oper == NULL) {
    fprintf(stderr, "no operation %s\n", name);
    exit(1);
  }
  return place;
}

static TF_Tensor* vector(TF_DataType dtype, const void* value, size_t size) {
  const int64_t one = 1;
  TF_Tensor* tensor = TF_AllocateTensor(dtype, &one, 1, size);
  memcpy(TF_TensorData(tensor), value, size);
  return tensor;
}

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  const char* tags[] = {"serve"};
  const int64_t label = 3, seed = 7;
  const float truncation = 0.5f;
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  TF_Session* session =
      TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  check(status);
  TF_Output inputs[] = {at(graph, argv[2], 0), at(graph, argv[3], 0), at(graph, argv[4], 0)};
  TF_Tensor* values[] = {vector(TF_INT64, &label, sizeof label),
                         vector(TF_INT64, &seed, sizeof seed),
                         vector(TF_FLOAT, &truncation, sizeof truncation)};
  TF_Output output = at(graph, argv[5], atoi(argv[6]));
  TF_Tensor* image = NULL;
  TF_SessionRun(session, NULL, inputs, values, 3, &output, &image, 1, NULL, 0, NULL, status);
  check(status);
  fwrite(TF_TensorData(image), 1, TF_TensorByteSize(image), stdout);
  TF_DeleteTensor(image);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  return 0;
}
